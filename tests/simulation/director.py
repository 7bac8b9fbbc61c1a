"""The stage manager of a schedule: before GST it decides who gets to see which quorum, as the asynchronous model allows.

One primitive is enough for all classic attacks on locking. For a round it names

    viewers     correct nodes that may see the polka; from everybody else it keeps the prevotes of as many correct
                validators (`hiders`) as are needed to stay below a quorum, and the liars prevote nil to them
    deciders    of the viewers, those that also get the liars' precommits; they fall silent until GST, so that
                nobody learns what they decided
    late        what was kept back arrives as soon as the receiver has precommitted in the round
    push        the liars vote for anything but the block of the target round

and the scripts of a plan are sequences of such rounds. What is kept back arrives at GST.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cybermiles.types.certificate import PolkaCertificate, RoundCertificate
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.vote import Vote, VoteType
from tests.simulation.messages import Body, height_of

if TYPE_CHECKING:
    from tests.simulation.plan import Plan
    from tests.simulation.streams import Streams


@dataclass(frozen=True, slots=True)
class Scene:
    """One round of a script."""

    viewers: frozenset[int] | None = None
    """None: everybody."""
    deciders: frozenset[int] = frozenset()
    late: bool = False
    push: bool = False
    silent: bool = False
    """The liars say nothing in this round."""
    no_proposal: bool = False
    """Nobody gets the proposal, so the round passes with nil."""
    hiders: dict[int, frozenset[int]] = field(default_factory=dict)
    """By receiver: whose prevotes it does not get."""


PLAIN = Scene()
LAST_STAGED_ROUND = 60


class Director:
    """Answers whether a message is kept back, and how a round is staged."""

    def __init__(self, plan: Plan, streams: Streams, proposer) -> None:
        self._plan = plan
        self._rng = streams["director"]
        self._proposer = proposer
        """Function from height and round to a validator's index."""
        self._scenes: dict[tuple[int, int], Scene] = {}
        self._correct = [i for i in range(len(plan.powers)) if i not in plan.byzantine]
        self.muted: dict[int, tuple[int, int]] = {}
        """From this height and round on, nothing of these nodes arrives before GST."""
        self._hero = self._rng.choice(self._correct)
        self._freed = False
        """unlock: the newer polka has been staged."""

    def scene(self, height: int, round_: int) -> Scene:
        """Return how a round is staged; drawn once."""
        if round_ > LAST_STAGED_ROUND:
            return PLAIN  # liars vote in any round, and correct nodes may pass that on
        key = (height, round_)
        if key not in self._scenes:
            self._scenes[key] = self._draw(height, round_)
        return self._scenes[key]

    def _draw(self, height: int, round_: int) -> Scene:
        script = self._plan.script
        if script == "rounds":
            return self._random_scene(height, round_)
        target_height, target_round = self._plan.target
        if script in ("noise", "halves") or height != target_height:
            return PLAIN
        if round_ < target_round:
            return Scene(no_proposal=True)
        return {
            "split": self._split,
            "amnesia": self._split,
            "hidden": self._hidden,
            "unlock": self._unlock,
            "late": self._late,
        }[script](height, round_)

    def _split(self, height: int, round_: int) -> Scene:
        if round_ > self._plan.target[1]:
            return Scene(push=True)
        viewers = {self._hero}
        powers = self._plan.powers
        liars = sum(powers[i] for i in self._plan.byzantine)
        for index in self._rng.sample(self._correct, len(self._correct)):
            if 3 * (liars + sum(powers[i] for i in viewers)) > 2 * sum(powers):
                break
            viewers.add(index)
        self.muted[self._hero] = (height, round_)
        return self._staged(frozenset(viewers), deciders=frozenset({self._hero}))

    def _hidden(self, height: int, round_: int) -> Scene:
        if round_ > self._plan.target[1]:
            return Scene(silent=True)
        return self._staged(frozenset({self._hero}))

    def _unlock(self, height: int, round_: int) -> Scene:
        if round_ == self._plan.target[1]:
            return self._staged(frozenset({self._hero}))
        proposer = self._proposer(height, round_)
        if not self._freed and proposer != self._hero and proposer in self._correct:
            self._freed = True
            return self._staged(frozenset({proposer}))
        return Scene(silent=self._freed)

    def _late(self, height: int, round_: int) -> Scene:
        if round_ > self._plan.target[1]:
            return Scene(silent=True)
        viewers = frozenset(i for i in self._correct if self._rng.random() < 0.4)
        return self._staged(viewers, late=True)

    def _random_scene(self, height: int, round_: int) -> Scene:
        rng = self._rng
        if height > 3 or round_ > 5 or rng.random() < 0.35:
            return Scene(push=rng.random() < 0.5, silent=rng.random() < 0.2)
        viewers = frozenset(i for i in self._correct if rng.random() < 0.5)
        deciders = frozenset(i for i in viewers if rng.random() < 0.4)
        for index in deciders:
            if rng.random() < 0.8:
                self.muted.setdefault(index, (height, round_))
        scene = self._staged(viewers, deciders, late=rng.random() < 0.3)
        return scene if rng.random() < 0.85 else Scene(no_proposal=True)

    def _staged(self, viewers: frozenset[int], deciders: frozenset[int] = frozenset(), *, late: bool = False) -> Scene:
        hiders = {index: self._hiders(index) for index in self._correct if index not in viewers}
        return Scene(viewers, deciders, late=late, hiders=hiders)

    def _hiders(self, target: int) -> frozenset[int]:
        """Return correct validators without whose prevotes the target sees no polka."""
        powers = self._plan.powers
        seen = set(self._correct)
        others = [i for i in self._correct if i != target]
        # The deciding hero hides first: it is silent anyway.
        order = [i for i in others if i == self._hero] + [
            i for i in self._rng.sample(others, len(others)) if i != self._hero
        ]
        for index in order:
            if 3 * sum(powers[i] for i in seen) <= 2 * sum(powers):
                break
            seen.discard(index)
        return frozenset(self._correct) - seen

    def holds(self, source: int, target: int, message, has_precommitted) -> bool:
        """Whether a correct node's message is kept back from the target for now."""
        muted = self.muted.get(source)
        if muted is not None and self._is_after(message, muted):
            return True
        if isinstance(message, SignedProposal):
            return self.scene(message.height, message.round).no_proposal
        if isinstance(message, Vote):
            return self._holds_vote(target, message, source, has_precommitted)
        if isinstance(message, PolkaCertificate):
            return self._hides_polka(message.height, message.round, target, has_precommitted)
        if isinstance(message, RoundCertificate):
            return self._hides_polka(message.height, message.round, target, has_precommitted)
        return False

    def _is_after(self, message, since: tuple[int, int]) -> bool:
        if isinstance(message, SignedProposal | Body):
            return height_of(message) > since[0] or getattr(message, "round", since[1]) > since[1]
        return (height_of(message), getattr(message, "round", 1 << 30)) >= since

    def _holds_vote(self, target: int, vote: Vote, source: int, has_precommitted) -> bool:
        if vote.type is not VoteType.PREVOTE:
            return False
        scene = self.scene(vote.height, vote.round)
        hidden = scene.hiders.get(target)
        if hidden is None or source not in hidden:
            return False
        return not (scene.late and has_precommitted(target, vote.height, vote.round))

    def _hides_polka(self, height: int, round_: int, target: int, has_precommitted) -> bool:
        scene = self.scene(height, round_)
        hidden = scene.viewers is not None and target not in scene.viewers
        return hidden and not (scene.late and has_precommitted(target, height, round_))
