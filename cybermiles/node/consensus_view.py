"""The height being decided, as RPC and operators see it: the engine's state with the validators' names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cybermiles.rpc.node_status import ConsensusStatus, NodeIdentity, ValidatorIdentity, ValidatorVotes
from cybermiles.types.validator import consensus_address
from cybermiles.types.vote import VoteType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cybermiles.consensus.core.round_state import RoundValue, Step
    from cybermiles.consensus.messages import RoundView
    from cybermiles.types.validator import Validator, ValidatorSet
    from cybermiles.types.vote import Vote


class EngineState(Protocol):
    """What is read of the consensus core, `consensus.core.engine.Engine`."""

    @property
    def height(self) -> int: ...
    @property
    def round(self) -> int: ...
    @property
    def step(self) -> Step: ...
    @property
    def validators(self) -> ValidatorSet: ...
    @property
    def locked(self) -> RoundValue | None: ...
    @property
    def valid(self) -> RoundValue | None: ...

    def proposer(self, round_: int) -> Validator:
        """Return who proposes in a round."""
        ...

    def votes(self, round_: int, type_: VoteType) -> tuple[Vote | None, ...]:
        """Return the first vote of each validator, in the order of the set."""
        ...

    def explain(self) -> str:
        """Say why the height does not advance and who is missing."""
        ...


def consensus_status(engine: EngineState, view: RoundView, names: Mapping[bytes, str]) -> ConsensusStatus:
    """Return the engine's state; `names` maps consensus addresses to names, and its explanation names them too."""
    if engine.height == 0:
        return _starting(view)
    round_ = max(engine.round, 0)
    proposer = engine.proposer(round_).address
    prevotes = engine.votes(round_, VoteType.PREVOTE)
    precommits = engine.votes(round_, VoteType.PRECOMMIT)
    return ConsensusStatus(
        height=engine.height,
        round=round_,
        step=engine.step.name.lower(),
        is_started=view.is_started,
        is_catching_up=view.is_catching_up,
        explanation=with_names(engine.explain(), engine.validators, names),
        locked_round=None if engine.locked is None else engine.locked.round,
        valid_round=None if engine.valid is None else engine.valid.round,
        validators=tuple(
            ValidatorVotes(
                name=names.get(member.address, ""),
                address=member.address,
                operator=member.operator,
                power=member.power,
                is_proposer=member.address == proposer,
                prevote=_voted(prevote),
                precommit=_voted(precommit),
            )
            for member, prevote, precommit in zip(engine.validators.validators, prevotes, precommits, strict=True)
        ),
    )


def _starting(view: RoundView) -> ConsensusStatus:
    """Return the state before the engine's first height."""
    return ConsensusStatus(
        height=view.height,
        round=0,
        step="unstarted",
        is_started=False,
        is_catching_up=view.is_catching_up,
        explanation="the node is starting",
        locked_round=None,
        valid_round=None,
        validators=(),
    )


def lone_status(height: int, validator: Validator, name: str) -> ConsensusStatus:
    """Return the state of a network of one validator between two blocks."""
    return ConsensusStatus(
        height=height,
        round=0,
        step="propose",
        is_started=False,
        is_catching_up=False,
        explanation=f"height {height} waits for its time, or for a transaction: its only validator is this node",
        locked_round=None,
        valid_round=None,
        validators=(
            ValidatorVotes(
                name=name,
                address=validator.address,
                operator=validator.operator,
                power=validator.power,
                is_proposer=True,
                prevote=None,
                precommit=None,
            ),
        ),
    )


def node_identity(
    *, id_: str | None, moniker: str, listen_address: str | None, public_key: bytes, validators: ValidatorSet
) -> NodeIdentity:
    """Return who the node is while `validators` decide; a key outside the set has no operator and no power."""
    member = next((v for v in validators.validators if v.consensus_key == public_key), None)
    return NodeIdentity(
        id=id_,
        moniker=moniker,
        listen_address=listen_address,
        validator=ValidatorIdentity(
            address=consensus_address(public_key),
            public_key=public_key,
            operator=None if member is None else member.operator,
            power=0 if member is None else member.power,
        ),
    )


def with_names(text: str, validators: ValidatorSet, names: Mapping[bytes, str]) -> str:
    """Return the text with each validator's address followed by its name, so that people know whom to call."""
    for member in validators.validators:
        name = names.get(member.address, "")
        if name:
            text = text.replace(member.address.hex(), f"{member.address.hex()} ({name})")
    return text


def _voted(vote: Vote | None) -> str | None:
    if vote is None:
        return None
    return "nil" if vote.block_hash is None else "0x" + vote.block_hash.hex()
