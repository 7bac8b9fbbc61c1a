"""What a crash interrupted: the log's inputs through a fresh engine, and what is left to do after the last one.

The engine is deterministic, so the same inputs give the same effects. Those that were answered in the log (an own
signed message, a built block, an elapsed timer) are done; what is published was published or will be said again; the
rest is still open and is performed now. The signer returns the stored signature for the same message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from cybermiles.consensus.core.effects import (
    Build,
    Decide,
    Publish,
    ReportEquivocation,
    ScheduleTimeout,
    SignProposal,
    SignVote,
)
from cybermiles.consensus.core.inputs import ProposalReceived, TimeoutElapsed, ValueBuilt, VoteReceived
from cybermiles.consensus.privval import STEP_OF, Step
from cybermiles.consensus.records import Start, decode_entry
from cybermiles.consensus.wal import read_log
from cybermiles.errors import DecodingError, InvariantViolation, StorageError
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.vote import Vote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.consensus.core.effects import Effect
    from cybermiles.consensus.core.engine import Engine
    from cybermiles.consensus.core.inputs import Input
    from cybermiles.consensus.ports import Directory
    from cybermiles.consensus.records import Entry
    from cybermiles.types.rotation import Rotation

_Key: TypeAlias = "tuple[object, ...]"
_NOTHING_SIGNED = (-1, Step.NONE)
Open: TypeAlias = Build | SignProposal | SignVote | Decide | ReportEquivocation


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """Where the log ends."""

    effects: tuple[Effect, ...]
    """Everything the engine returned, in order."""
    open: tuple[Open, ...]
    """What the log does not answer, in order."""
    timers: tuple[ScheduleTimeout, ...]
    """Those that had not elapsed, to be started again."""
    own: tuple[SignedProposal | Vote, ...]
    """The node's own messages, in order."""

    @property
    def last_position(self) -> tuple[int, Step]:
        """(round, step) of the last message that was signed or is to be signed; (-1, NONE) without any."""
        return max((_position(message) for message in (*self.own, *self.open)), default=_NOTHING_SIGNED)


def read_entries(directory: Directory, height: int) -> list[Entry]:
    """Return what an earlier process logged of a height. Raises StorageError where it cannot be read."""
    try:
        return [decode_entry(record, height) for record in read_log(directory, height)]
    except DecodingError as error:
        raise StorageError(
            f"the log of height {height} holds what this version does not understand ({error}): start the version "
            "that wrote it, and let it finish the height"
        ) from error


def replay(engine: Engine, rotation: Rotation, entries: Sequence[Entry], address: bytes | None) -> Replayed:
    """Feed the log of a height to a fresh engine. `address` is the node's own.

    Raises InvariantViolation where the log does not begin with the height's start.
    """
    if not entries or not isinstance(entries[0].input, Start):
        raise InvariantViolation("the write-ahead log does not begin with the start of its height")
    book = _Book(address)
    for entry in entries:
        input_ = entry.input.to_input(rotation) if isinstance(entry.input, Start) else entry.input
        book.take(input_)
        for effect in engine.handle(input_):
            book.note(effect)
    return Replayed(
        effects=tuple(book.effects),
        open=tuple(book.open.values()),
        timers=tuple(book.timers.values()),
        own=tuple(book.own),
    )


class _Book:
    """What was asked for and what was answered."""

    def __init__(self, address: bytes | None) -> None:
        self._address = address
        self.effects: list[Effect] = []
        self.open: dict[_Key, Open] = {}
        self.timers: dict[_Key, ScheduleTimeout] = {}
        self.own: list[SignedProposal | Vote] = []

    def take(self, input_: Input) -> None:
        """Close what an input answers."""
        match input_:
            case VoteReceived(vote) if vote.validator == self._address:
                if self.open.pop((SignVote, vote.round, vote.type), None) is not None:
                    self.own.append(vote)
            case ProposalReceived(proposal, _):
                asked = self.open.get((SignProposal, proposal.round))
                if isinstance(asked, SignProposal) and _is_answer(asked, proposal):
                    del self.open[SignProposal, proposal.round]
                    self.own.append(proposal)
            case ValueBuilt():
                self.open.pop((Build,), None)
            case TimeoutElapsed(kind, _, round_):
                self.timers.pop((kind, round_), None)
            case _:
                pass

    def note(self, effect: Effect) -> None:
        """Keep an effect until it is answered."""
        self.effects.append(effect)
        match effect:
            case SignVote():
                self.open[SignVote, effect.round, effect.type] = effect
            case SignProposal():
                self.open[SignProposal, effect.round] = effect
            case Build():
                self.open.pop((Build,), None)
                self.open[Build,] = effect
            case Decide():
                self.open[Decide,] = effect
            case ReportEquivocation(evidence):
                self.open[ReportEquivocation, evidence.hash] = effect
            case ScheduleTimeout():
                self.timers[effect.kind, effect.round] = effect
            case Publish():
                pass


def _is_answer(asked: SignProposal, proposal: SignedProposal) -> bool:
    return (asked.block_hash, asked.pol_round, asked.parts) == (
        proposal.block_hash,
        proposal.pol_round,
        proposal.parts,
    )


def _position(message: SignedProposal | Vote | Open) -> tuple[int, Step]:
    match message:
        case SignVote() | Vote():
            return message.round, STEP_OF[message.type]
        case SignProposal() | SignedProposal():
            return message.round, Step.PROPOSE
        case _:
            return _NOTHING_SIGNED
