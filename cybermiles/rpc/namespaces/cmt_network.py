"""`cmt_*`: the height being decided, and who this node talks to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.rpc.access import is_loopback
from cybermiles.rpc.methods import Method
from cybermiles.rpc.quantities import encode_checksummed, encode_data

if TYPE_CHECKING:
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.methods import Context
    from cybermiles.rpc.node_status import ConsensusStatus, PeerStatus, ValidatorVotes
    from cybermiles.rpc.ports import NodeInfo

PEERS_WEIGHT = 5


class CmtNetwork:
    """The cmt namespace's reads of consensus and peers."""

    def __init__(self, info: NodeInfo) -> None:
        self._info = info

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        return (
            Method(name="cmt_consensusState", handler=self.consensus_state, weight=PEERS_WEIGHT),
            Method(name="cmt_peers", handler=self.peers, weight=PEERS_WEIGHT, with_context=True),
        )

    def consensus_state(self) -> Json:
        """Say in one sentence why the height does not advance, and who has voted for what."""
        return _consensus(self._info.consensus())

    def peers(self, context: Context) -> Json:
        """Return the connected peers. Their addresses are for callers on this machine: they show where to attack."""
        with_address = is_loopback(context.remote)
        return [render_peer(peer, with_address=with_address) for peer in self._info.peers()]


def _consensus(state: ConsensusStatus) -> Json:
    return {
        "explanation": state.explanation,
        "height": hex(state.height),
        "round": hex(state.round),
        "step": state.step,
        "started": state.is_started,
        "catchingUp": state.is_catching_up,
        "lockedRound": _round(state.locked_round),
        "validRound": _round(state.valid_round),
        "totalPower": hex(state.total_power),
        "quorumPower": hex(state.quorum_power),
        "prevotes": _bits([validator.prevote for validator in state.validators]),
        "precommits": _bits([validator.precommit for validator in state.validators]),
        "validators": [_validator(validator) for validator in state.validators],
    }


def _round(round_: int | None) -> Json:
    return None if round_ is None else hex(round_)


def _bits(votes: list[str | None]) -> str:
    """Return one letter a validator: x for a block, n for nil, _ for nothing yet."""
    return "".join("_" if vote is None else "n" if vote == "nil" else "x" for vote in votes)


def _validator(validator: ValidatorVotes) -> Json:
    return {
        "name": validator.name,
        "address": encode_data(validator.address),
        "operator": encode_checksummed(validator.operator),
        "power": hex(validator.power),
        "proposer": validator.is_proposer,
        "prevote": validator.prevote,
        "precommit": validator.precommit,
    }


def render_peer(peer: PeerStatus, *, with_address: bool) -> Json:
    """Return a peer as `cmt_peers` and `admin_peers` show it."""
    return {
        "id": peer.id,
        "address": peer.address if with_address else None,
        "direction": "outbound" if peer.is_outbound else "inbound",
        "score": hex(peer.score),
        "lastReason": peer.last_reason,
        "height": None if peer.height is None else hex(peer.height),
        "baseHeight": None if peer.base_height is None else hex(peer.base_height),
    }
