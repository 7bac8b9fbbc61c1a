"""How long each step waits, and the other local settings of the engine. None of them is part of consensus.

    timeout(kind, round) = base + round · delta, at most the cap

Growth makes the wait longer than the network's delay eventually, whatever that is; the cap keeps the first block
after a long outage near. The defaults are CometBFT's.
"""

from __future__ import annotations

from dataclasses import dataclass

from cybermiles.consensus.core.inputs import TimeoutKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Waiting times, all in milliseconds."""

    propose_ms: int = 3_000
    """For a proposal and its block, in round 0."""
    propose_delta_ms: int = 500
    """More in each further round."""
    prevote_ms: int = 1_000
    """For more prevotes once a quorum prevoted differently."""
    prevote_delta_ms: int = 500
    precommit_ms: int = 1_000
    """For more precommits once a quorum precommitted differently."""
    precommit_delta_ms: int = 500
    cap_ms: int = 60_000
    """Longest of any of the above."""

    def after_ms(self, kind: TimeoutKind, round_: int) -> int:
        """Return how long the step's timer of a round runs."""
        if kind is TimeoutKind.PROPOSE:
            return min(self.cap_ms, self.propose_ms + round_ * self.propose_delta_ms)
        if kind is TimeoutKind.PREVOTE:
            return min(self.cap_ms, self.prevote_ms + round_ * self.prevote_delta_ms)
        return min(self.cap_ms, self.precommit_ms + round_ * self.precommit_delta_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What an engine is constructed with."""

    timeouts: Timeouts = Timeouts()
    rebroadcast_ms: int = 5_000
    """How often a node that waits says again what it said."""
    clock_precision_ms: int = 505
    """How far the clocks of two correct validators may differ (chain parameter)."""
    message_delay_ms: int = 15_000
    """How long a proposal may travel in round 0 (chain parameter)."""
