"""A miniature of consensus for gossip tests: no rounds, no signatures, no faults; heights follow one another.

The first validator of the height proposes; who has the whole block prevotes; a quorum of prevotes is followed by a
precommit, a quorum of precommits decides.
"""

from __future__ import annotations

from collections import Counter

from cybermiles.consensus.core.round_state import Step
from cybermiles.consensus.messages import PartMessage, RoundView
from cybermiles.crypto.hashing import keccak256
from cybermiles.types.certificate import PolkaCertificate, RoundCertificate
from cybermiles.types.commit import EMPTY_COMMIT, Commit
from cybermiles.types.part_set import PartSet, split
from cybermiles.types.primitives import Address, Hash32
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.validator import Validator, ValidatorSet
from cybermiles.types.vote import Vote, VoteType


def validator_set(count):
    return ValidatorSet(tuple(Validator(keccak256(bytes([i])), Address(bytes(20)), 1) for i in range(count)))


def signature_of(*what):
    return keccak256(repr(what).encode()) * 2


def make_vote(validators, index, type_=VoteType.PREVOTE, height=1, round_=0, block_hash=Hash32(b"\x01" * 32)):
    address = validators.validators[index].address
    signature = signature_of(type_, height, round_, block_hash, address)
    return Vote(type_, height, round_, block_hash, address, signature)


class MiniConsensus:
    """Implements the reactor's port `Consensus`."""

    def __init__(self, index, validators, *, block_bytes=1000, gap_ms=0, net=None):
        self.index = index
        self.validators = validators
        self.block_bytes = block_bytes
        self.gap_ms = gap_ms
        self.net = net
        self.reactor = None
        self.height, self.step, self.is_started = 1, Step.UNSTARTED, False
        self.is_catching_up = False
        self.last_commit = EMPTY_COMMIT
        self.received_votes = Counter()
        self.unique_votes = 0
        self.part_bytes = 0
        self.unique_part_bytes = 0
        self.decided_at = {}
        self.complete_at = {}
        self.early = []
        self._reset()

    def _reset(self):
        self._votes, self._proposal, self._parts, self._waiting = {}, None, None, []

    # port

    @property
    def view(self):
        return RoundView(
            height=self.height,
            round=0,
            step=self.step,
            is_started=self.is_started,
            is_catching_up=self.is_catching_up,
            last_commit_round=0,
        )

    def proposer(self, round_):
        members = self.validators.validators
        return members[(self.height + round_) % len(members)]

    def proposal(self, round_):
        return self._proposal if round_ == 0 else None

    def votes(self, round_, type_):
        return tuple(self._votes.get((type_, v.address)) for v in self.validators.validators) if round_ == 0 else ()

    def rounds(self):
        return (0,) if self.is_started else ()

    def part_set(self, parts_id):
        return self._parts if self._parts is not None and self._parts.header.id == parts_id else None

    def receive(self, message, source):
        if isinstance(message, Vote):
            self.received_votes[source] += 1
        if isinstance(message, PartMessage):
            self.part_bytes += len(message.part.payload)
        if isinstance(message, PolkaCertificate | RoundCertificate):
            return
        if message.height == self.height - 1 and not self.is_started:
            self._take_late(message, source)
        elif message.height == self.height + 1 or (message.height == self.height and not self.is_started):
            self.early.append((message, source))
        elif message.height == self.height:
            self._take(message, source)

    # rules

    def start(self):
        self.is_started, self.step = True, Step.PROPOSE
        self.reactor.view_changed(self.view)
        if self.validators.validators[self.index] == self.proposer(0):
            value = keccak256(b"%d" % self.height) * (self.block_bytes // 32 + 1)
            self._parts = split(value[: self.block_bytes])
            self.unique_part_bytes += 0
            block_hash = Hash32(keccak256(value))
            self._proposal = SignedProposal(
                self.height, 0, -1, block_hash, self._parts.header, signature_of("p", self.height)
            )
            self.reactor.publish(self._proposal)
            self._advance()
        early, self.early = self.early, []
        for message, source in early:
            self.receive(message, source)

    def _take(self, message, source):
        if isinstance(message, Vote):
            key = (message.type, message.validator)
            if key in self._votes:
                return
            self.unique_votes += 1
            self._votes[key] = message
        elif isinstance(message, SignedProposal):
            if self._proposal is not None:
                return
            self._proposal = message
            self._parts = PartSet(message.parts)
        elif self._parts is None:
            self._waiting.append((message, source))
            return
        else:
            if not self._parts.add(message.part):
                return
            self.unique_part_bytes += len(message.part.payload)
        self.reactor.accepted(message, source)
        if isinstance(message, SignedProposal):
            waiting, self._waiting = self._waiting, []
            for part, part_source in waiting:
                self._take(part, part_source)
        self._advance()

    def _take_late(self, message, source):
        commit = self.last_commit
        if isinstance(message, Vote) and message.type is VoteType.PRECOMMIT:
            index = [v.address for v in self.validators.validators].index(message.validator)
            if commit.signatures[index] is None:
                self.unique_votes += 1
                signatures = list(commit.signatures)
                signatures[index] = message.signature
                self.last_commit = Commit(commit.height, commit.round, commit.block_hash, tuple(signatures))
                self.reactor.accepted(message, source)

    def _advance(self):
        if self._parts is not None and self._parts.is_complete and self.step is Step.PROPOSE:
            self.complete_at[self.height] = self.net.clock.ms
            self._vote(VoteType.PREVOTE, Step.PREVOTE)
        if self.step is Step.PREVOTE and self._count(VoteType.PREVOTE):
            self._vote(VoteType.PRECOMMIT, Step.PRECOMMIT)
        if self._parts is not None and self._parts.is_complete and self._count(VoteType.PRECOMMIT):
            self._decide()

    def _count(self, type_):
        return self.validators.has_quorum(sum(1 for kind, _ in self._votes if kind is type_))

    def _vote(self, type_, step):
        vote = make_vote(self.validators, self.index, type_, self.height, 0, self._proposal.block_hash)
        self.step = step
        self._votes[type_, vote.validator] = vote
        self.reactor.view_changed(self.view)
        self.reactor.publish(vote)

    def _decide(self):
        self.decided_at[self.height] = self.net.clock.ms
        signatures = tuple(
            vote.signature if (vote := self._votes.get((VoteType.PRECOMMIT, v.address))) else None
            for v in self.validators.validators
        )
        self.last_commit = Commit(self.height, 0, self._proposal.block_hash, signatures)
        self.height, self.step, self.is_started = self.height + 1, Step.UNSTARTED, False
        self._reset()
        self.reactor.view_changed(self.view)
        self.net.at(self.gap_ms, self.start)
