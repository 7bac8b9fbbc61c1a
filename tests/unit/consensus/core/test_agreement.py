"""Four engines without a network around them: whatever the schedule and the liar do, they agree; and in the end, decide.

A schedule is a list of numbers: each picks what happens next among the messages under way, the running timers and what
the liar could say. Afterwards everything that is still under way arrives, timers run out in order, and nothing is lost.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.consensus.core import effects as e
from cybermiles.consensus.core import inputs as i
from cybermiles.consensus.core.engine import Engine
from cybermiles.consensus.core.timeouts import EngineSettings
from cybermiles.types.certificate import RoundCertificate
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.rotation import first_rotation
from cybermiles.types.vote import Vote, VoteType
from tests.fakes.consensus_core import IN_TIME, SIGNATURE, STAMP, members, parts_of

HEIGHT = 1
SET = members(1, 1, 1, 1)
BAD = "z"
"""First letter of blocks that are refused."""
SCHEDULES = st.lists(st.integers(0, 2**20), max_size=220)
MAX_LIAR_ROUND = 4


class World:
    """Three correct validators, and one that says what the schedule makes it say."""

    def __init__(self, liar, turn):
        self.rotation = first_rotation(SET)
        for _ in range(turn):
            self.rotation = self.rotation.advanced()
        proposers = self.rotation.proposers()
        self.proposers = [next(proposers) for _ in range(64)]
        self.liar = liar
        self.correct = [k for k in range(4) if k != liar]
        self.engines = {k: Engine(SET.addresses[k], EngineSettings()) for k in self.correct}
        self.under_way = []
        self.timers = []
        self.decisions = {}
        self.signed = {}
        self.votes = []
        self.blocks = ["a", BAD]
        for k in self.correct:
            self.feed(k, i.StartHeight(height=HEIGHT, rotation=self.rotation))

    def block(self, name):
        return name.encode().ljust(32, b".")

    # --- the hosts --------------------------------------------------------------------------------------------------------

    def feed(self, k, input_):
        for effect in self.engines[k].handle(input_):
            match effect:
                case e.SignVote(type_, height, round_, hash_):
                    assert self.signed.setdefault((k, type_, round_), hash_) == hash_, "signed two votes in one place"
                    self.say(k, Vote(type_, height, round_, hash_, SET.addresses[k], SIGNATURE))
                case e.SignProposal(height, round_, pol_round, hash_, parts):
                    assert self.signed.setdefault((k, "proposal", round_), hash_) == hash_
                    self.say(k, SignedProposal(height, round_, pol_round, hash_, parts, SIGNATURE))
                case e.Build(height, round_):
                    name = f"b{k}{round_}"
                    self.blocks.append(name)
                    self.feed(k, i.ValueBuilt(height, round_, self.block(name), parts_of("p"), STAMP))
                case e.ScheduleTimeout(kind, height, round_, _):
                    self.timers.append((k, i.TimeoutElapsed(kind, height, round_)))
                case e.Decide(commit):
                    assert k not in self.decisions, "decided twice"
                    self.decisions[k] = commit
                case e.ReportEquivocation(evidence):
                    assert evidence.validator == SET.addresses[self.liar], "accused a correct validator"
                case e.Publish(message):
                    self.under_way += [(to, message) for to in self.correct if to != k]

    def say(self, k, message):
        if isinstance(message, Vote):
            self.votes.append(message)
        self.deliver(k, message)
        self.under_way += [(to, message) for to in self.correct if to != k]

    def deliver(self, k, message):
        match message:
            case Vote():
                self.feed(k, i.VoteReceived(message))
            case SignedProposal():
                self.feed(k, i.ProposalReceived(message, IN_TIME))
                is_good = not message.block_hash.startswith(BAD.encode())
                self.feed(
                    k,
                    i.ValueChecked(
                        height=HEIGHT, block_hash=message.block_hash, parts=message.parts, accepted=is_good,
                        timestamp=STAMP,
                    ),
                )  # fmt: skip
            case _:
                self.feed(k, i.CertificateReceived(message))

    # --- the schedule -----------------------------------------------------------------------------------------------------

    def act(self, number):
        kind, number = number % 8, number // 8
        if kind < 5 and self.under_way:
            to, message = self.under_way.pop(number % len(self.under_way))
            if kind < 4:
                self.deliver(to, message)  # else it is lost
        elif kind < 7 and self.timers:
            self.feed(*self.timers.pop(number % len(self.timers)))
        else:
            self.lie(number)

    def lie(self, number):
        """Say anything to some."""
        audience, number = 1 + number % 7, number // 7
        kind, number = number % 4, number // 4
        round_, number = number % (MAX_LIAR_ROUND + 1), number // (MAX_LIAR_ROUND + 1)
        block = self.block(self.blocks[number % len(self.blocks)])
        address = SET.addresses[self.liar]
        if kind == 0 and self.proposers[round_] == self.liar:
            message = SignedProposal(HEIGHT, round_, number % (round_ + 1) - 1, block, parts_of("p"), SIGNATURE)
        elif kind == 1 and self.votes:
            about = self.votes[number % len(self.votes)]
            message = RoundCertificate(HEIGHT, about.round + 1, tuple(v for v in self.votes if v.round == about.round))
        else:
            type_ = VoteType.PREVOTE if kind < 3 else VoteType.PRECOMMIT
            message = Vote(type_, HEIGHT, round_, block if number % 5 else None, address, SIGNATURE)
            self.votes.append(message)
        self.under_way += [(k, message) for bit, k in enumerate(self.correct) if audience >> bit & 1]

    # --- the end ----------------------------------------------------------------------------------------------------------

    def heal(self):
        """Deliver everything in order; when nothing is under way, rebroadcast, then let one kind of timer run out."""
        for _ in range(60):
            self.deliver_all()
            if len(self.decisions) == len(self.correct):
                return
            self.sync_blocks()
            self.run_out(i.TimeoutKind.REBROADCAST)
            self.deliver_all()
            for kind in (i.TimeoutKind.PROPOSE, i.TimeoutKind.PREVOTE, i.TimeoutKind.PRECOMMIT):
                if any(t.kind is kind and t.round == self.engines[k].round for k, t in self.timers):
                    self.run_out(kind)
                    break

    def deliver_all(self):
        while self.under_way:
            self.deliver(*self.under_way.pop(0))

    def run_out(self, kind):
        due = [timer for timer in self.timers if timer[1].kind is kind]
        self.timers = [timer for timer in self.timers if timer[1].kind is not kind]
        for k, timer in due:
            self.feed(k, timer)

    def sync_blocks(self):
        """Who decided serves the block and its commit to the others."""
        for commit in list(self.decisions.values())[:1]:
            for k in self.correct:
                if k not in self.decisions:
                    checked = i.ValueChecked(
                        height=HEIGHT, block_hash=commit.block_hash, parts=parts_of("p"), accepted=True,
                        timestamp=STAMP,
                    )  # fmt: skip
                    self.feed(k, i.CommitReceived(commit))
                    self.feed(k, checked)

    def check(self):
        decided = {commit.block_hash for commit in self.decisions.values()}
        assert len(decided) <= 1, decided
        for commit in self.decisions.values():
            assert sum(signature is not None for signature in commit.signatures) >= 3
            assert not commit.block_hash.startswith(BAD.encode())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3), st.integers(0, 3), SCHEDULES)
def test_correct_validators_agree_whatever_happens_and_decide_when_everything_arrives(liar, turn, schedule):
    world = World(liar, turn)
    for number in schedule:
        world.act(number)
    world.check()
    world.heal()
    world.check()
    assert sorted(world.decisions) == world.correct
