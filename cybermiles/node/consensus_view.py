"""The height being decided, as RPC and operators see it: the runner's state with the validators' names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cybermiles.rpc.node_status import ConsensusStatus, NodeIdentity, ValidatorIdentity, ValidatorVotes
from cybermiles.types.validator import consensus_address
from cybermiles.types.vote import VoteType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cybermiles.consensus.core.round_state import RoundValue
    from cybermiles.consensus.messages import RoundView
    from cybermiles.types.validator import Validator, ValidatorSet
    from cybermiles.types.vote import Vote


class RunnerState(Protocol):
    """What is read of `consensus.runner.ConsensusRunner`."""

    @property
    def view(self) -> RoundView: ...
    @property
    def engine(self) -> LockState | None: ...
    @property
    def validators(self) -> ValidatorSet: ...

    def proposer(self, round_: int) -> Validator | None:
        """Return who proposes in a round of the view's height."""
        ...

    def votes(self, round_: int, type_: VoteType) -> tuple[Vote | None, ...]:
        """Return the first vote of each validator, in the order of the set; empty where nothing has started."""
        ...

    def explain(self) -> str:
        """Say why the height does not advance and who is missing."""
        ...


class LockState(Protocol):
    """What is read of the core itself."""

    @property
    def locked(self) -> RoundValue | None: ...
    @property
    def valid(self) -> RoundValue | None: ...


def consensus_status(runner: RunnerState, names: Mapping[bytes, str]) -> ConsensusStatus:
    """Return where the height stands; `names` maps consensus addresses to names, and the explanation has them too."""
    view = runner.view
    if view.height == 0:
        return _starting(view)
    round_ = max(view.round, 0)
    members = runner.validators.validators
    proposer = runner.proposer(round_)
    nothing: tuple[Vote | None, ...] = (None,) * len(members)
    prevotes = runner.votes(round_, VoteType.PREVOTE) or nothing
    precommits = runner.votes(round_, VoteType.PRECOMMIT) or nothing
    core = runner.engine if view.is_started else None
    return ConsensusStatus(
        height=view.height,
        round=round_,
        step=view.step.name.lower(),
        is_started=view.is_started,
        is_catching_up=view.is_catching_up,
        explanation=with_names(runner.explain(), runner.validators, names),
        locked_round=None if core is None or core.locked is None else core.locked.round,
        valid_round=None if core is None or core.valid is None else core.valid.round,
        validators=tuple(
            ValidatorVotes(
                name=names.get(member.address, ""),
                address=member.address,
                operator=member.operator,
                power=member.power,
                is_proposer=member == proposer,
                prevote=_voted(prevote),
                precommit=_voted(precommit),
            )
            for member, prevote, precommit in zip(members, prevotes, precommits, strict=True)
        ),
    )


def _starting(view: RoundView) -> ConsensusStatus:
    """Return the state before the first height."""
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
