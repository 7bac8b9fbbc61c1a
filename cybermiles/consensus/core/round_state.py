"""Where one validator stands in one height: what the round machine reads and returns.

    UNSTARTED ──► PROPOSE ──► PREVOTE ──► PRECOMMIT ──► (next round) … COMMIT

`locked` and `valid` survive a change of round, the marks of what has happened once in a round do not. Names follow
arXiv:1807.04938, Algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cybermiles.types.primitives import Hash32


class Step(IntEnum):
    """Part of a round."""

    UNSTARTED = 0
    """The round is known, but its proposer was not asked yet."""
    PROPOSE = 1
    PREVOTE = 2
    PRECOMMIT = 3
    COMMIT = 4
    """The height is decided."""


@dataclass(frozen=True, slots=True)
class RoundValue:
    """A block and the round that gave it its standing."""

    block_hash: Hash32
    round: int


@dataclass(frozen=True, slots=True)
class RoundState:
    """The variables of the algorithm in one height. Construct the first with no arguments."""

    round: int = -1
    """-1 before round 0."""
    step: Step = Step.UNSTARTED
    locked: RoundValue | None = None
    """What this validator precommitted last: it prevotes nothing else without a newer polka."""
    valid: RoundValue | None = None
    """The newest block known to have had a polka: it is proposed again."""
    decision: RoundValue | None = None
    has_proposed: bool = False
    """Of this round, like the following."""
    has_prevote_timer: bool = False
    has_precommit_timer: bool = False
    has_polka: bool = False
    """The rule of line 36 has fired."""
