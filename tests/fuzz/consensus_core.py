"""Random message logs through the engine and through the naive transcription of the paper: outputs and states are equal.

    python -m tests.fuzz.consensus_core --logs 100000 --seed 1 --processes 2

One to seven validators of any power, up to six rounds; proposers, voters and certificates lie, messages come twice, in
any order and out of place, timers of any round run out. Every log is a function of its seed, which is printed where
the two disagree.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from multiprocessing import Pool

from cybermiles.consensus.core import effects as e
from cybermiles.consensus.core import inputs as i
from cybermiles.consensus.core.engine import Engine
from cybermiles.consensus.core.timeouts import EngineSettings
from cybermiles.errors import InvariantViolation
from cybermiles.types.certificate import PolkaCertificate, RoundCertificate
from cybermiles.types.commit import Commit
from cybermiles.types.part_set import PartsHeader
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.rotation import first_rotation
from cybermiles.types.validator import Validator, ValidatorSet
from cybermiles.types.vote import Vote, VoteType
from tests.oracle.tendermint import Halt, Tendermint

HEIGHT = 5
MAX_ROUND = 5
TYPES = {"prevote": VoteType.PREVOTE, "precommit": VoteType.PRECOMMIT}
TIMERS = {kind.name.lower(): kind for kind in i.TimeoutKind}
STAMP = 1_700_000_000
PRECISION_MS, DELAY_MS = 500, 2_000
VALUES = "ABCD"
"""C is refused, D arrives late in half of the logs; the others are good."""
GOOD = ("A", "B", "D")
SIGNATURE = bytes(64)


def block_hash(value):
    return None if value is None else value.encode() * 32


def header(parts):
    return PartsHeader(1, parts.encode().ljust(32, b"-"))


def validator_set(powers):
    return ValidatorSet(tuple(Validator(bytes([k + 1]) * 32, bytes(20), power) for k, power in enumerate(powers)))


class Log:
    """One seeded run of both."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        choose = self.random
        count = choose.choice((1, 2, 3, 4, 4, 4, 5, 6, 7, 7))
        powers = (
            [choose.choice((1, 10))] * count if choose.random() < 0.5 else [choose.randint(1, 12) for _ in range(count)]
        )
        self.members = validator_set(powers)
        self.rotation = first_rotation(self.members)
        for _ in range(choose.randrange(4)):
            self.rotation = self.rotation.advanced()
        self.powers = {k: member.power for k, member in enumerate(self.members.validators)}
        self.is_voting = choose.random() < 0.9
        self.own = choose.randrange(count) if choose.random() < 0.95 else None
        address = b"\xee" * 20 if self.own is None else self.members.addresses[self.own]
        settings = EngineSettings(clock_precision_ms=PRECISION_MS, message_delay_ms=DELAY_MS)
        self.engine = Engine(address, settings)
        proposers = self.rotation.proposers()
        self.proposers = [next(proposers) for _ in range(3 * MAX_ROUND)]
        self.oracle = Tendermint(
            self.powers, lambda round_: self.proposers[round_], self.own if self.is_voting else None,
            precision_ms=PRECISION_MS, delay_ms=DELAY_MS,
        )  # fmt: skip
        liars = choose.sample(sorted(self.powers), choose.randint(0, count))
        while 3 * sum(self.powers[k] for k in liars) >= sum(self.powers.values()) and choose.random() < 0.95:
            liars.pop()
        self.liars = frozenset(liars)
        self.voted = {}
        self.targets = {}
        self.is_planned = choose.random() < 0.6
        self.planned_round = -1
        self.sent = []
        self.pending = []
        self.counts = Counter()
        self.is_over = False

    def run(self):
        start = i.StartHeight(height=HEIGHT, rotation=self.rotation, is_voting=self.is_voting)
        self.compare("start", lambda: self.engine.handle(start), self.oracle.start)
        for _ in range(self.random.randint(5, 60 if not self.is_planned else 150)):
            message = self.next_message()
            if self.is_over or self.engine.round > MAX_ROUND:
                break
            self.sent.append(message)
            self.compare(message, lambda m=message: self.feed(m), lambda m=message: self.oracle.receive(m))
        self.counts.update(self.oracle.lines)
        return self.counts

    # --- comparing ----------------------------------------------------------------------------------------------------

    def compare(self, message, core, oracle):
        try:
            got = core()
        except InvariantViolation as error:
            got = None if "more than one third" in str(error) else str(error)
        try:
            expected = oracle()
        except Halt:
            expected = None
        if got is None or expected is None or isinstance(got, str):
            assert got is expected, (message, got, expected)
            self.counts["halt"] += 1
            self.is_over = True
            return
        outputs = [output for effect in got for output in self.output_of(effect)]
        assert split(outputs) == split(expected), (message, outputs, expected)
        assert self.state() == self.oracle_state(), (message, self.state(), self.oracle_state())
        for output in expected:
            self.counts[output[0]] += 1
            self.pending += self.answers(output)

    def state(self):
        def pair(value):
            return (None, -1) if value is None else (chr(value.block_hash[0]), value.round)

        engine = self.engine
        decision = engine.commit()
        return (
            engine.round, engine.step.name.lower(), pair(engine.locked), pair(engine.valid),
            None if decision is None else (chr(decision.block_hash[0]), decision.round),
        )  # fmt: skip

    def oracle_state(self):
        o = self.oracle
        return o.round, o.step, (o.locked_value, o.locked_round), (o.valid_value, o.valid_round), o.decision

    def output_of(self, effect):
        match effect:
            case e.SignVote(type_, _, round_, hash_):
                yield type_.name.lower(), round_, value_of(hash_)
            case e.SignProposal(_, round_, pol_round, hash_, parts):
                assert parts == header(value_of(hash_))
                yield "propose", round_, value_of(hash_), pol_round
            case e.Build(_, round_):
                yield "build", round_
            case e.ScheduleTimeout(kind, _, round_, _) if kind is not i.TimeoutKind.REBROADCAST:
                yield "timer", kind.name.lower(), round_
            case e.Decide(commit):
                self.check_power(commit, 2, "decision")
                yield "decide", commit.round, value_of(commit.block_hash)
            case e.ReportEquivocation(evidence):
                vote = evidence.first
                yield "equivocation", vote.type.name.lower(), vote.round, self.members.position(vote.validator)
            case e.Publish(message):
                self.check_publication(message)

    # --- what is published proves what it says --------------------------------------------------------------------------

    def check_publication(self, message):
        match message:
            case PolkaCertificate():
                assert {(v.type, v.round, v.block_hash) for v in message.votes} == {
                    (VoteType.PREVOTE, message.round, message.block_hash)
                }
                self.check_voters(message.votes, 2, "polka")
            case RoundCertificate():
                rounds = {(v.type, v.round) for v in message.votes}
                is_quorum = rounds == {(VoteType.PRECOMMIT, message.round - 1)}
                assert is_quorum or {round_ for _, round_ in rounds} == {message.round}
                self.check_voters(message.votes, 2 if is_quorum else 1, "round certificate")

    def check_voters(self, votes, thirds, what):
        voters = [self.members.position(vote.validator) for vote in votes]
        assert len(set(voters)) == len(voters)
        assert 3 * sum(self.powers[k] for k in voters) > thirds * sum(self.powers.values()), what
        self.counts[what] += 1

    def check_power(self, commit, thirds, what):
        signers = [k for k, signature in enumerate(commit.signatures) if signature is not None]
        assert 3 * sum(self.powers[k] for k in signers) > thirds * sum(self.powers.values()), what

    # --- feeding the engine -----------------------------------------------------------------------------------------------

    def feed(self, message):
        match message:
            case ("vote", *_):
                return self.engine.handle(i.VoteReceived(self.vote(message)))
            case ("proposal", round_, value, pol_round, parts, received_ms):
                proposal = SignedProposal(HEIGHT, round_, pol_round, block_hash(value), header(parts), SIGNATURE)
                return self.engine.handle(i.ProposalReceived(proposal, received_ms))
            case ("verdict", value, parts, accepted, timestamp):
                return self.engine.handle(
                    i.ValueChecked(
                        height=HEIGHT, block_hash=block_hash(value), parts=header(parts), accepted=accepted,
                        timestamp=timestamp,
                    )
                )  # fmt: skip
            case ("built", round_, value, parts, timestamp):
                return self.engine.handle(i.ValueBuilt(HEIGHT, round_, block_hash(value), header(parts), timestamp))
            case ("timeout", kind, round_):
                return self.engine.handle(i.TimeoutElapsed(TIMERS[kind], HEIGHT, round_))
            case ("certificate", votes):
                return self.engine.handle(self.bundle(votes))
        raise AssertionError(message)

    def bundle(self, votes):
        _, type_, round_, value, _ = votes[0]
        subjects = {(vote[1], vote[2], vote[3]) for vote in votes}
        senders = [vote[4] for vote in votes]
        if len(subjects) == 1 and type_ == "precommit" and value is not None and senders == sorted(set(senders)):
            signatures = tuple(SIGNATURE if k in senders else None for k in self.powers)
            return i.CommitReceived(Commit(HEIGHT, round_, block_hash(value), signatures))
        kept = tuple(self.vote(vote) for vote in votes)
        if len(subjects) == 1 and type_ == "prevote" and value is not None:
            return i.CertificateReceived(PolkaCertificate(HEIGHT, round_, block_hash(value), kept))
        return i.CertificateReceived(RoundCertificate(HEIGHT, max(vote[2] for vote in votes), kept))

    def vote(self, message):
        _, type_, round_, value, sender = message
        address = self.members.addresses[sender] if sender in self.powers else b"\xdd" * 20
        return Vote(TYPES[type_], HEIGHT, round_, block_hash(value), address, SIGNATURE)

    # --- making messages ----------------------------------------------------------------------------------------------------

    def answers(self, output):
        """What the host, or a careless one, makes of an output."""
        match output:
            case ("prevote" | "precommit" as type_, round_, value):
                return [("vote", type_, round_, self.voted.setdefault((type_, round_, self.own), value), self.own)]
            case ("propose", round_, value, pol_round):
                return [("proposal", round_, value, pol_round, value, self.received())]
            case ("build", round_):
                return [self.make_built(round_)]
            case ("timer", kind, round_):
                return [("timeout", kind, round_)] if self.random.random() < 0.4 else []
        return []

    def next_message(self):
        choose = self.random
        if self.is_planned and self.engine.round > self.planned_round:
            self.planned_round = self.engine.round
            self.pending += self.plan(self.engine.round)
        if self.pending and choose.random() < (0.85 if self.is_planned else 0.6):
            is_next = self.is_planned and choose.random() < 0.8
            return self.pending.pop(0 if is_next else choose.randrange(len(self.pending)))
        kind = choose.choices(
            ("burst", "proposal", "verdict", "timeout", "again", "certificate", "vote", "built"),
            (5, 4, 3, 2, 1, 2, 3, 1),
        )[0]
        if kind == "again" and self.sent:
            return choose.choice(self.sent)
        return getattr(self, f"make_{kind}", self.make_vote)()

    def plan(self, round_):
        """The course of a round that rarely decides: locks come, move and are forgotten by some."""
        choose = self.random
        polkas = sorted(
            {m[2:4] for m in self.oracle.log if m[0] == "vote" and m[1] == "prevote" and m[2] < round_ and m[3]}
        )
        pol_round, value = choose.choice(polkas) if polkas and choose.random() < 0.7 else (-1, choose.choice("ABBCD"))
        proposal = [("proposal", round_, value, pol_round, value, self.received())]
        verdict = [("verdict", value, value, value in GOOD, STAMP)]
        aims = (value, value, value, None, choose.choice("AB"))
        prevotes = [self.vote_of("prevote", round_, choose.choice(aims[:3]), k) for k in self.others()]
        if choose.random() < 0.3:
            prevotes = [self.vote_of("prevote", round_, choose.choice(aims), k) for k in self.others()]
        aim = choose.choice((None, None, None, value))
        precommits = [self.vote_of("precommit", round_, aim, k) for k in self.others()]
        timers = [("timeout", kind, round_) for kind in ("prevote", "precommit")]
        course = [proposal + verdict, prevotes, timers[:1], precommits, timers[1:]]
        if choose.random() < 0.35:  # the proposal, the block or the polka comes too late
            course[0], course[1] = course[1], course[0]
        if choose.random() < 0.35:
            course[1], course[2] = course[2], course[1]
        if choose.random() < 0.2:
            course.insert(0, [("timeout", "propose", round_)])
        return [message for part in course for message in part if choose.random() < 0.97]

    def others(self):
        """All but this one, mostly; in any order."""
        senders = [k for k in self.powers if k != self.own or self.random.random() < 0.05]
        return self.random.sample(senders, len(senders))

    def near(self):
        """A round, mostly the current one."""
        offset = self.random.choices((-2, -1, 0, 1, 2, 3), (1, 3, 12, 3, 1, 1))[0]
        return max(0, min(MAX_ROUND, self.engine.round + offset))

    def subject(self):
        """What votes are about: mostly one value a round, mostly one that matters here."""
        type_, round_ = self.random.choice(("prevote", "precommit")), self.near()
        popular = [value for value in (self.oracle.locked_value, self.oracle.valid_value) if value]
        popular += [m[2] for m in self.oracle.log if m[0] == "proposal" and m[1] >= self.engine.round - 1]
        value = self.random.choice([*popular, *popular, *VALUES, None])
        if self.random.random() < 0.8:
            value = self.targets.setdefault((type_, round_), value)
        return type_, round_, value

    def vote_of(self, type_, round_, value, sender):
        """A validator that does not lie votes once, and if it were this one, not before it was asked."""
        if sender not in self.liars:
            value = self.voted.setdefault((type_, round_, sender), value)
        return ("vote", type_, round_, value, sender)

    def votes(self):
        subject = self.subject()
        senders = self.random.sample(sorted(self.powers), self.random.randint(1, len(self.powers)))
        if self.random.random() < 0.3:
            senders = sorted(self.powers)
        if self.random.random() < 0.9:
            senders = [sender for sender in senders if sender != self.own] or senders
        return [self.vote_of(*subject, sender) for sender in senders]

    def make_burst(self):
        """Many votes for one thing, mixed with what else is going on."""
        votes = self.votes()
        self.pending += votes[1:]
        return votes[0]

    def make_vote(self):
        return self.vote_of(*self.subject(), self.random.choice([*self.powers, 99]))

    def make_certificate(self):
        kind = self.random.choice(("polka", "commit", "round"))
        votes = self.votes()
        if kind == "round":
            votes += [vote for vote in self.votes() if self.random.random() < 0.5]
        elif votes[0][3] is not None:
            type_ = "prevote" if kind == "polka" else "precommit"
            votes = sorted({self.vote_of(type_, *vote[2:]) for vote in votes}, key=str)
        return ("certificate", votes)

    def make_proposal(self):
        round_ = self.near()
        value = self.random.choice((*VALUES, *"ABAB"))
        pol_round = self.random.choice((-1, -1, *range(round_))) if self.random.random() < 0.97 else round_
        justified = [m for m in self.oracle.log if m[0] == "vote" and m[1] == "prevote" and m[2] < round_ and m[3]]
        if justified and self.random.random() < 0.5:
            _, _, pol_round, value, _ = self.random.choice(justified)
        parts = value if self.random.random() < 0.93 else "X"
        return ("proposal", round_, value, pol_round, parts, self.received())

    def received(self):
        """Mostly in time, sometimes at the very edge or beyond it."""
        late = 999 + PRECISION_MS + DELAY_MS
        edges = (-PRECISION_MS - 1, -PRECISION_MS, late, late + 1, late + 200, late + 201, late + 4000)
        return STAMP * 1000 + (500 if self.random.random() < 0.7 else self.random.choice(edges))

    def make_verdict(self):
        value = self.random.choice(VALUES)
        parts = value if self.random.random() < 0.9 else "X"
        is_accepted = value in GOOD and parts == value
        return ("verdict", value, parts, is_accepted, STAMP if is_accepted else 0)

    def make_built(self, round_=None):
        value = self.random.choice("AB")
        return ("built", self.near() if round_ is None else round_, value, value, STAMP)

    def make_timeout(self):
        return ("timeout", self.random.choice(("propose", "prevote", "precommit")), self.near())


def split(outputs):
    """Outputs in order, and the reported equivocations, whose order is nobody's business."""
    reports = sorted(output for output in outputs if output[0] == "equivocation")
    return [output for output in outputs if output[0] != "equivocation"], reports


def value_of(hash_):
    return None if hash_ is None else chr(hash_[0])


def run(seed):
    """Run one log; raises AssertionError with the seed and the messages up to the disagreement."""
    log = Log(seed)
    try:
        return log.run()
    except AssertionError as error:
        history = "\n".join(map(str, log.sent))
        raise AssertionError(f"seed {seed}, own {log.own} of {log.powers}:\n{history}\n{error}") from error


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first log; the others follow")
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    started, totals = time.monotonic(), Counter()
    seeds = range(arguments.seed, arguments.seed + arguments.logs)
    with Pool(arguments.processes) as pool:
        for done, counts in enumerate(pool.imap_unordered(run, seeds, chunksize=50), 1):
            totals += counts
            if done % 5_000 == 0:
                print(f"{done} logs agree, {done / (time.monotonic() - started):.0f} a second", flush=True)
    print(f"{arguments.logs} logs agree; outputs compared: {dict(sorted(totals.items()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
