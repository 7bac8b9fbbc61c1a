"""The liars of a schedule: one mind with all their keys, which hears every message at once and tells everyone else
what suits it. It follows the director's scenes where there are any, and its own styles where there are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.types.certificate import PolkaCertificate, RoundCertificate
from cybermiles.types.commit import Commit
from cybermiles.types.proposal import SignedProposal, proposal_sign_bytes
from cybermiles.types.vote import Vote, VoteType, vote_sign_bytes
from tests.simulation import keys
from tests.simulation.messages import Body, Synced

if TYPE_CHECKING:
    from tests.simulation.core_world import CoreWorld
    from tests.simulation.messages import Value

VOTE_STYLES = ("honest", "silent", "nil", "double", "halves", "random")
PROPOSAL_STYLES = ("honest", "silent", "halves", "lie", "stale", "invalid", "withhold", "future_time", "rubbish")
NOISES = (
    "far_round",
    "old_votes",
    "wrong_signature",
    "far_height",
    "forged_certificate",
    "mixed_certificate",
    "lying_sync",
)


class Adversary:
    """Owns the liars' keys."""

    def __init__(self, world: CoreWorld) -> None:
        self._world = world
        self._plan = world.plan
        self._rng = world.streams["adversary"]
        self._proposals: dict[tuple[int, int], list[SignedProposal]] = {}
        self._values: dict[bytes, Value] = {}
        self._signed: dict[tuple[int, int, int, int, bytes | None], Vote] = {}
        self._heard: list[Vote] = []
        self._entered: set[tuple[int, int]] = set()
        self._voted: set[tuple[int, int, int]] = set()
        self._styles: dict[tuple[int, int], str] = {}
        self._is_silent_after_gst = self._rng.random() < 0.5

    # ---- what it notices

    def heard(self, source: int, message) -> None:
        """A correct node sent this to somebody."""
        if isinstance(message, SignedProposal):
            self._learn(message)
        elif isinstance(message, Body):
            self._values.setdefault(message.hash, message.value)
        elif isinstance(message, Vote) and len(self._heard) < 400:
            self._heard.append(message)
        if self._plan.noise and self._rng.random() < self._plan.noise:
            self._make_noise(message)

    def round_entered(self, height: int, round_: int) -> None:
        """The first correct node is in this round."""
        if (height, round_) in self._entered:
            return
        self._entered.add((height, round_))
        proposer = self._world.proposer(height, round_)
        for liar in self._plan.byzantine:
            if liar == proposer:
                self._world.later(self._rng.uniform(0, 30), self._propose, liar, height, round_)
            self._world.later(self._rng.uniform(700, 3_400), self._vote, liar, height, round_)

    def _learn(self, proposal: SignedProposal) -> None:
        known = self._proposals.setdefault((proposal.height, proposal.round), [])
        if any(p.block_hash == proposal.block_hash for p in known):
            return
        known.append(proposal)
        if len(known) == 1:
            for liar in self._plan.byzantine:
                self._world.later(self._rng.uniform(0, 50), self._vote, liar, proposal.height, proposal.round)

    def announced(self, height: int, round_: int) -> list[bytes]:
        """Return the blocks proposed in a round."""
        return [proposal.block_hash for proposal in self._proposals.get((height, round_), ())]

    # ---- proposals

    def _propose(self, liar: int, height: int, round_: int) -> None:
        scene = self._world.director.scene(height, round_)
        if scene.silent or self._gone_silent():
            return
        if scene.push:
            style = self._rng.choice(("lie", "lie", "halves", "stale"))
        elif scene.viewers is not None:
            style = "fresh"
        else:
            style = "halves" if self._plan.script == "halves" else self._rng.choice(PROPOSAL_STYLES)
        self._world.fault(f"byzantine proposal: {style}")
        getattr(self, f"_propose_{style}")(liar, height, round_)

    def _propose_fresh(self, liar: int, height: int, round_: int) -> None:
        self._spread(liar, height, round_, -1, self._fresh(liar, height))

    def _propose_honest(self, liar: int, height: int, round_: int) -> None:
        for pol_round in reversed(range(round_)):
            for proposal in self._proposals.get((height, pol_round), ()):
                value = self._values.get(proposal.block_hash)
                if value is not None and self._world.checker.has_polka(height, pol_round, proposal.block_hash):
                    self._spread(liar, height, round_, pol_round, value)
                    return
        self._propose_fresh(liar, height, round_)

    def _propose_silent(self, liar: int, height: int, round_: int) -> None:
        pass

    def _propose_halves(self, liar: int, height: int, round_: int) -> None:
        correct = self._world.correct
        cut = self._rng.randint(1, len(correct) - 1)
        order = self._rng.sample(correct, len(correct))
        self._spread(liar, height, round_, -1, self._fresh(liar, height), targets=order[:cut])
        self._spread(liar, height, round_, -1, self._fresh(liar, height), targets=order[cut:])

    def _propose_lie(self, liar: int, height: int, round_: int) -> None:
        pol_round = self._rng.randint(0, round_ - 1) if round_ else -1
        self._spread(liar, height, round_, pol_round, self._fresh(liar, height))

    def _propose_stale(self, liar: int, height: int, round_: int) -> None:
        """Propose somebody's earlier block with a polka round that may be another block's."""
        hashes = [p.block_hash for r in range(round_) for p in self._proposals.get((height, r), ())]
        known = [h for h in hashes if h in self._values and h not in self._world.guarded_values()]
        if not known:
            self._propose_lie(liar, height, round_)
            return
        self._spread(liar, height, round_, self._rng.randint(0, round_ - 1), self._values[self._rng.choice(known)])

    def _propose_invalid(self, liar: int, height: int, round_: int) -> None:
        self._spread(liar, height, round_, -1, self._fresh(liar, height, is_valid=False))

    def _propose_withhold(self, liar: int, height: int, round_: int) -> None:
        some = [i for i in self._world.correct if self._rng.random() < 0.5]
        self._spread(liar, height, round_, -1, self._fresh(liar, height), bodies=some)

    def _propose_rubbish(self, liar: int, height: int, round_: int) -> None:
        """Announce a good block, somebody's where one is known, over parts that are another thing."""
        known = [p.block_hash for r in range(round_ + 1) for p in self._proposals.get((height, r), ())]
        values = [self._values[h] for h in known if h in self._values]
        value = self._rng.choice(values) if values else self._fresh(liar, height)
        pol_round = self._rng.randint(-1, round_ - 1)
        parts = self._world.rubbish_parts(self._rng.randbytes(32))
        self._spread(liar, height, round_, pol_round, value, parts=parts)

    def _propose_future_time(self, liar: int, height: int, round_: int) -> None:
        self._spread(liar, height, round_, -1, self._fresh(liar, height, ahead=self._rng.choice((3, 60, 86_400))))

    def _fresh(self, liar: int, height: int, *, is_valid: bool = True, ahead: int = 0):
        value = self._world.make_value(liar, height, self._rng.getrandbits(32), is_valid=is_valid, ahead=ahead)
        self._values[value.hash] = value
        return value

    def learn_value(self, value) -> None:
        """A correct node built this block."""
        self._values.setdefault(value.hash, value)

    def _spread(self, liar, height, round_, pol_round, value, *, targets=None, bodies=None, parts=None) -> None:
        key = self._world.keys[liar]
        block_hash, parts = value.hash, parts or value.parts
        message = proposal_sign_bytes(keys.CHAIN_ID, keys.GENESIS_HASH, height, round_, pol_round, block_hash, parts)
        proposal = SignedProposal(height, round_, pol_round, block_hash, parts, keys.sign(key.private, message))
        self._world.checker.proposal_signed(proposal, key.address)
        for target in self._world.correct if targets is None else targets:
            self._world.send_lie(liar, target, proposal)
            if bodies is None or target in bodies:
                self._world.send_lie(liar, target, Body(value, block_hash, parts))
        self._learn(proposal)

    # ---- votes

    def _vote(self, liar: int, height: int, round_: int) -> None:
        if (liar, height, round_) in self._voted or not self._is_live(height):
            return
        self._voted.add((liar, height, round_))
        scene = self._world.director.scene(height, round_)
        hashes = [proposal.block_hash for proposal in self._proposals.get((height, round_), [])]
        if scene.silent or self._gone_silent():
            return
        style = self._style(liar, height)
        delay = self._rng.uniform(30, 400)
        for target in self._world.correct:
            for type_ in VoteType:
                for value in self._choice(scene, style, target, type_, hashes):
                    vote = self.sign_vote(liar, type_, height, round_, value)
                    if type_ is VoteType.PREVOTE:
                        self._world.send_lie(liar, target, vote)
                    else:
                        self._world.later(delay, self._world.send_lie, liar, target, vote)

    def _choice(self, scene, style, target, type_, hashes) -> tuple[bytes | None, ...]:
        """Return what a target is told."""
        first = hashes[0] if hashes else None
        if scene.viewers is not None:
            chosen = scene.viewers if type_ is VoteType.PREVOTE else scene.deciders
            return (first if target in chosen else None,)
        if scene.push:
            others = [block_hash for block_hash in hashes if block_hash not in self._world.guarded_values()]
            return (others[-1],) if others else (None,)
        second = hashes[1] if len(hashes) > 1 else None
        told: dict[str, tuple[bytes | None, ...]] = {
            "honest": (first,),
            "silent": (),
            "nil": (None,),
            "double": (first, second) if first != second else (None,),
            "halves": (first if target % 2 == 0 else second,),
        }
        if style in told:
            return told[style]
        return tuple(value for value in (*hashes[:2], None) if self._rng.random() < 0.4)

    def _style(self, liar: int, height: int) -> str:
        key = (liar, height)
        if key not in self._styles:
            styles = ("double", "halves", "random") if self._plan.script == "halves" else VOTE_STYLES
            self._styles[key] = self._rng.choice(styles)
            self._world.fault(f"byzantine votes: {self._styles[key]}")
        return self._styles[key]

    def sign_vote(self, liar: int, type_: VoteType, height: int, round_: int, value: bytes | None) -> Vote:
        """Return a liar's vote; all of them count in the checker."""
        key = (liar, type_, height, round_, value)
        if key not in self._signed:
            owner = self._world.keys[liar]
            message = vote_sign_bytes(keys.CHAIN_ID, keys.GENESIS_HASH, type_, height, round_, value)
            vote = Vote(type_, height, round_, value, owner.address, keys.sign(owner.private, message))
            self._signed[key] = vote
            self._world.checker.vote_signed(vote)
        return self._signed[key]

    def _gone_silent(self) -> bool:
        return self._is_silent_after_gst and self._world.is_stable and self._plan.script != "rounds"

    def _is_live(self, height: int) -> bool:
        return height > min(self._world.checker.height_of(i) for i in self._world.correct)

    # ---- noise

    def _make_noise(self, message) -> None:
        noise = self._rng.choice(NOISES)
        height = getattr(message, "height", None)
        if height is None:
            return
        self._world.fault(f"byzantine noise: {noise}")
        getattr(self, f"_noise_{noise}")(self._rng.choice(self._plan.byzantine), height, getattr(message, "round", 0))

    def _to_somebody(self, liar: int, message) -> None:
        self._world.send_lie(liar, self._rng.choice(self._world.correct), message)

    def _noise_far_round(self, liar: int, height: int, round_: int) -> None:
        for _ in range(5):
            far = round_ + self._rng.choice((1, 2, 3, 100, 10**6, 2**32 - 1 - round_))
            type_ = self._rng.choice(tuple(VoteType))
            self._to_somebody(liar, self.sign_vote(liar, type_, height, min(far, 2**32 - 1), None))

    def _noise_far_height(self, liar: int, height: int, round_: int) -> None:
        for ahead in (1, 1, 2, 10**6):
            self._to_somebody(
                liar, self.sign_vote(liar, VoteType.PRECOMMIT, height + ahead, self._rng.randint(0, 9), None)
            )

    def _noise_old_votes(self, liar: int, height: int, round_: int) -> None:
        for vote in self._rng.sample(self._heard, min(5, len(self._heard))):
            self._to_somebody(liar, vote)

    def _noise_wrong_signature(self, liar: int, height: int, round_: int) -> None:
        victim = self._world.keys[self._rng.choice(self._world.correct)]
        proposals = self._proposals.get((height, round_), [])
        value = proposals[0].block_hash if proposals else None
        for type_ in VoteType:
            forged = Vote(type_, height, round_, value, victim.address, self._rng.randbytes(64))
            self._to_somebody(liar, forged)

    def _noise_forged_certificate(self, liar: int, height: int, round_: int) -> None:
        """A polka of the liars' true votes filled up with wrong signatures."""
        value = self._fresh(liar, height).hash
        votes = [self.sign_vote(i, VoteType.PREVOTE, height, round_, value) for i in self._plan.byzantine]
        votes += [
            Vote(VoteType.PREVOTE, height, round_, value, self._world.keys[i].address, self._rng.randbytes(64))
            for i in self._world.correct
        ]
        self._to_somebody(liar, PolkaCertificate(height, round_, value, tuple(votes)))

    def _noise_mixed_certificate(self, liar: int, height: int, round_: int) -> None:
        """A certificate of true votes that prove too little."""
        votes = tuple(self.sign_vote(i, VoteType.PRECOMMIT, height, round_, None) for i in self._plan.byzantine)
        self._to_somebody(liar, RoundCertificate(height, round_ + 1, votes))

    def _noise_lying_sync(self, liar: int, height: int, round_: int) -> None:
        """A block of the liar's with a commit that repeats its own signature, or lacks a quorum."""
        value = self._fresh(liar, height)
        own = self.sign_vote(liar, VoteType.PRECOMMIT, height, round_, value.hash).signature
        repeated = self._rng.random() < 0.5
        signatures = tuple(own if repeated or i == liar else None for i in range(len(self._plan.powers)))
        self._to_somebody(liar, Synced(value, Commit(height, round_, value.hash, signatures)))
