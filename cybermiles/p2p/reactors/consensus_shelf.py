"""What this node can offer of one height: verified votes, proposals and block parts, and since when. Pure.

Everything is a bit under a key, so that what a peer lacks is one subtraction:

    VoteKey(round, type, block)   bit i: the vote of the i-th validator for that block. A validator that voted twice
                                  has a bit under two keys, and both votes travel.
    ProposalKey(round, parts id)  bit 0
    PartsKey(parts id)            bit i: part i

A bit is `here` at once, `ripe` one tick later and `stale` after `LAZY_MS`. News is announced before it is ripe, and
only what is ripe is relayed, so peers that got it at the same moment do not send it to each other. What a peer does
not want from us in the first place (see `consensus_peer`) it gets when it is stale and still missing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from cybermiles.p2p.wire.consensus import MAX_HAVE_PARTS, MAX_HAVE_VOTES, Have, HaveParts, HaveVotes
from cybermiles.types.vote import Vote, VoteType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cybermiles.types.commit import Commit
    from cybermiles.types.part_set import PartSet
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.proposal import SignedProposal
    from cybermiles.types.validator import ValidatorSet

LAZY_MS = 300
"""More than two one-way trips around the world and a tick: whoever has news has said so by then."""
KEPT_ROUNDS = 2
"""Rounds before the current one whose messages are still relayed; older ones are served by certificates."""


class VoteKey(NamedTuple):
    """Votes of one type for one block in one round."""

    round: int
    type: VoteType
    block_hash: Hash32 | None


class ProposalKey(NamedTuple):
    """A proposal; of several in one round, each has another block and so other parts."""

    round: int
    parts_id: Hash32


class PartsKey(NamedTuple):
    """The parts of a block, whichever rounds propose it."""

    parts_id: Hash32


Key: TypeAlias = VoteKey | ProposalKey | PartsKey


class Shelf:
    """Material of one height."""

    def __init__(self, height: int, validators: ValidatorSet | None) -> None:
        """Start empty; without validators nothing can be added."""
        self.height = height
        self.members = () if validators is None else validators.validators
        self.index_of = {validator.address: i for i, validator in enumerate(self.members)}
        self.here: dict[Key, int] = {}
        self.ripe: dict[Key, int] = {}
        self.stale: dict[Key, int] = {}
        self.author: dict[Key, int] = {}
        """Index of the proposer of a proposal or of parts."""
        self.part_sets: dict[Hash32, PartSet] = {}
        self.proposals: dict[ProposalKey, SignedProposal] = {}
        self._votes: dict[VoteKey, dict[int, Vote]] = {}
        self._ripening: list[tuple[Key, int]] = []
        self._aging: deque[tuple[int, Key, int]] = deque()

    def add_vote(self, vote: Vote, now_ms: int, *, own: bool = False) -> bool:
        """Take a verified vote; False where it is here or its validator is no member."""
        index = self.index_of.get(vote.validator)
        if index is None:
            return False
        key = VoteKey(vote.round, vote.type, vote.block_hash)
        if not self._add(key, 1 << index, now_ms, own=own):
            return False
        self._votes.setdefault(key, {})[index] = vote
        return True

    def add_proposal(
        self, proposal: SignedProposal, author: int, parts: PartSet | None, now_ms: int, *, own: bool = False
    ) -> None:
        """Take a verified proposal and what is here of its block."""
        parts_id = proposal.parts.id
        key = ProposalKey(proposal.round, parts_id)
        self.proposals[key] = proposal
        self.author[key] = author
        self._add(key, 1, now_ms, own=own)
        if parts is not None:
            self.add_parts(parts_id, parts, author, now_ms, own=own)

    def add_parts(self, parts_id: Hash32, parts: PartSet, author: int, now_ms: int, *, own: bool = False) -> None:
        """Take note of which parts are here."""
        key = PartsKey(parts_id)
        self.part_sets[parts_id] = parts
        self.author.setdefault(key, author)
        self._add(key, parts.bits, now_ms, own=own)

    def add_part(self, parts_id: Hash32, index: int, now_ms: int) -> None:
        """Take note of one more part of a block that `add_parts` named."""
        self._add(PartsKey(parts_id), 1 << index, now_ms, own=False)

    def votes(self, key: VoteKey, bits: int) -> Iterator[tuple[int, Vote]]:
        """Yield (index, vote) for each bit."""
        kept = self._votes[key]
        for index in ones(bits):
            yield index, kept[index]

    def tick(self, now_ms: int) -> None:
        """Ripen what came since the last tick, and age what has been here for `LAZY_MS`."""
        for key, bits in self._ripening:
            self._mark(self.ripe, key, bits)
        self._ripening.clear()
        while self._aging and self._aging[0][0] <= now_ms:
            _, key, bits = self._aging.popleft()
            self._mark(self.stale, key, bits)

    @property
    def is_ripening(self) -> bool:
        """Whether the next tick makes something ripe."""
        return bool(self._ripening)

    @property
    def next_stale_ms(self) -> int | None:
        """When the next thing becomes stale."""
        return self._aging[0][0] if self._aging else None

    def leave_rounds(self, current: int) -> None:
        """Forget rounds that are more than `KEPT_ROUNDS` behind; blocks proposed again stay."""
        first = current - KEPT_ROUNDS
        for key in [k for k in self.here if not isinstance(k, PartsKey) and k.round < first]:
            self._forget(key)
        self._forget_unnamed_parts()

    def settle(self, commit: Commit, now_ms: int) -> None:
        """The height is decided: keep the decided block and its precommits, for peers that are not there yet."""
        decided = VoteKey(commit.round, VoteType.PRECOMMIT, commit.block_hash)
        for proposal in tuple(self.proposals.values()):
            if proposal.block_hash != commit.block_hash:
                self._forget(ProposalKey(proposal.round, proposal.parts.id))
        for key in [k for k in self.here if isinstance(k, VoteKey) and k != decided]:
            self._forget(key)
        self._forget_unnamed_parts()
        for validator, signature in zip(self.members, commit.signatures, strict=True):
            if signature is not None:
                vote = Vote(
                    VoteType.PRECOMMIT, self.height, commit.round, commit.block_hash, validator.address, signature
                )
                self.add_vote(vote, now_ms)

    def _forget_unnamed_parts(self) -> None:
        named = {key.parts_id: None for key in self.proposals}
        for parts_id in [i for i in self.part_sets if i not in named]:
            del self.part_sets[parts_id]
            self._forget(PartsKey(parts_id))

    def _forget(self, key: Key) -> None:
        for table in (self.here, self.ripe, self.stale, self.author):
            table.pop(key, None)
        if isinstance(key, VoteKey):
            self._votes.pop(key, None)
        elif isinstance(key, ProposalKey):
            self.proposals.pop(key, None)

    def _mark(self, table: dict[Key, int], key: Key, bits: int) -> None:
        """Mark what is still here; the key may have been forgotten meanwhile, and come back with other bits."""
        here = bits & self.here.get(key, 0)
        if here:
            table[key] = table.get(key, 0) | here

    def _add(self, key: Key, bits: int, now_ms: int, *, own: bool) -> bool:
        here = self.here.get(key, 0)
        news = bits & ~here
        if own:
            self.ripe[key] = self.ripe.get(key, 0) | bits
            self.stale[key] = self.stale.get(key, 0) | bits
        if not news:
            return False
        self.here[key] = here | bits
        if not own:
            self._ripening.append((key, news))
            self._aging.append((now_ms + LAZY_MS, key, news))
        return True


def have(shelf: Shelf, keys: list[Key], *, is_complete: bool) -> Have:
    """Return the announcement of these keys: the newest rounds and the most votes where there are too many."""
    votes = sorted(
        (k for k in keys if isinstance(k, VoteKey)), key=lambda k: (k.round, shelf.here[k].bit_count()), reverse=True
    )
    ids = {k.parts_id: None for k in keys if isinstance(k, PartsKey)}
    proposals = sorted(
        (p for p in shelf.proposals if p.parts_id in ids or p in keys), key=lambda p: p.round, reverse=True
    )
    return Have(
        shelf.height,
        is_complete,
        tuple(HaveVotes(k.round, k.type, k.block_hash, shelf.here[k]) for k in votes[:MAX_HAVE_VOTES]),
        tuple(
            HaveParts(p.round, p.parts_id, shelf.here.get(PartsKey(p.parts_id), 0)) for p in proposals[:MAX_HAVE_PARTS]
        ),
    )


def ones(bits: int) -> Iterator[int]:
    """Yield the positions of the set bits, ascending."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
