"""The simulator itself: time, the checker that must notice, the zone table, shrinking."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from statistics import median

import pytest

from cybermiles.types.commit import Commit
from cybermiles.types.evidence import duplicate_vote
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.vote import Vote, VoteType, vote_sign_bytes
from tests.simulation import keys
from tests.simulation.campaign import Options, make_plan, run_plan, shrink
from tests.simulation.checker import Checker, Violation
from tests.simulation.core_node import CoreNode
from tests.simulation.latency import MAX_MS, MEDIAN_MS, ZONES, Latency, zone_matrix
from tests.simulation.loop import OutsideWorld, SimClock, Spinning, Stalled, VirtualLoop
from tests.simulation.plan import Crash, Plan
from tests.simulation.streams import Streams

KEYS, SET = keys.validator_keys((1, 1, 1, 1))
A, B = b"a" * 32, b"b" * 32
LIAR = 3


@pytest.fixture
def loop():
    made = VirtualLoop()
    yield made
    made.close()


@pytest.fixture
def checker():
    return Checker(SET, [KEYS[LIAR].address])


def vote(who, type_, round_, value, height=1):
    message = vote_sign_bytes(keys.CHAIN_ID, keys.GENESIS_HASH, type_, height, round_, value)
    return Vote(type_, height, round_, value, KEYS[who].address, keys.sign(KEYS[who].private, message))


def prevote(who, round_, value):
    return vote(who, VoteType.PREVOTE, round_, value)


def precommit(who, round_, value):
    return vote(who, VoteType.PRECOMMIT, round_, value)


# Time


def test_virtual_time_passes_without_waiting(loop):
    clock = SimClock(loop, 1_000)
    loop.run_until_complete(clock.sleep(86_400))
    assert clock.monotonic() == pytest.approx(86_400)
    assert clock.now_ms() == pytest.approx(86_401_000, abs=1)


def test_threads_sockets_and_endless_waits_are_refused(loop):
    async def thread():
        await asyncio.to_thread(print)

    async def connect():
        await asyncio.open_connection("127.0.0.1", 1)

    for outside in (thread, connect):
        with pytest.raises(OutsideWorld):
            loop.run_until_complete(outside())
    with socket.socket() as real, pytest.raises(OutsideWorld):
        loop.add_reader(real, print)
    with pytest.raises(Stalled):
        loop.run_until_complete(asyncio.Event().wait())


def test_tasks_that_wake_each_other_without_end_are_noticed(loop):
    async def spin():
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Spinning):
        loop.run_until_complete(spin())


# The checker


def polka(checker, round_, value):
    for who in range(3):
        checker.vote_signed(prevote(who, round_, value))


def test_agreement_is_checked(checker):
    polka(checker, 0, A)
    for value in (A, B):
        checker.proposal_signed(SignedProposal(1, 0, -1, value, None, b""), KEYS[LIAR].address)
        checker.block_accepted(1, value)
    signed = [tuple(precommit(who, 0, value).signature for who in range(4)) for value in (A, B)]
    checker.decided(0, Commit(1, 0, A, signed[0]))
    with pytest.raises(Violation, match="agreement"):
        checker.decided(1, Commit(1, 0, B, signed[1]))


@pytest.mark.parametrize(
    ("change", "invariant"),
    [
        (lambda commit: replace(commit, signatures=(*commit.signatures[:2], None, None)), "certificates"),
        (lambda commit: replace(commit, signatures=commit.signatures[::-1]), "certificates"),
        (lambda commit: replace(commit, height=2), "integrity"),
        (lambda commit: replace(commit, block_hash=B), "validity"),
    ],
)
def test_a_decision_is_checked(checker, change, invariant):
    checker.proposal_signed(SignedProposal(1, 0, -1, A, None, b""), KEYS[0].address)
    checker.block_accepted(1, A)
    good = Commit(1, 0, A, tuple(precommit(who, 0, A).signature for who in range(4)))
    with pytest.raises(Violation, match=invariant):
        checker.decided(0, change(good))
    assert checker.violation is not None


def test_signing_twice_is_noticed_but_in_liars(checker):
    for who in (LIAR, 0):
        checker.vote_signed(prevote(who, 0, A))
    checker.vote_signed(prevote(LIAR, 0, B))
    with pytest.raises(Violation, match="self-equivocation"):
        checker.vote_signed(prevote(0, 0, None))


def test_the_lock_rule_and_the_precommit_rule_are_checked(checker):
    with pytest.raises(Violation, match="precommit rule"):
        checker.vote_signed(precommit(0, 0, A))
    polka(checker, 0, A)
    checker.vote_signed(precommit(1, 0, A))
    for who in (0, 2, LIAR):
        checker.vote_signed(prevote(who, 1, B))
    checker.vote_signed(prevote(1, 2, B))  # the polka of round 1 frees it
    with pytest.raises(Violation, match="lock rule"):
        checker.vote_signed(prevote(1, 3, b"c" * 32))


def test_a_proposal_that_names_a_polka_that_is_not_is_noticed(checker):
    with pytest.raises(Violation, match="proposal rule"):
        checker.proposal_signed(SignedProposal(1, 1, 0, A, None, b""), KEYS[0].address)


def test_accusing_the_honest_and_accusing_without_proof_are_noticed(checker):
    with pytest.raises(Violation, match="accuses the honest"):
        checker.equivocation_reported(0, duplicate_vote(prevote(1, 0, A), prevote(1, 0, B)))
    forged = replace(prevote(LIAR, 0, B), signature=bytes(64))
    with pytest.raises(Violation, match="proves nothing"):
        checker.equivocation_reported(0, duplicate_vote(prevote(LIAR, 0, A), forged))
    checker.equivocation_reported(0, duplicate_vote(prevote(LIAR, 0, A), prevote(LIAR, 0, B)))


def test_different_states_after_one_height_are_noticed(checker):
    checker.committed(1, A)
    with pytest.raises(Violation, match="application hashes"):
        checker.committed(1, B)


# Plans


def test_the_zone_table_has_its_two_statistics():
    pairs = [zone_matrix()[a][b] for a in range(ZONES) for b in range(a)]
    assert median(pairs) == pytest.approx(MEDIAN_MS, abs=0.5)
    assert max(pairs) == pytest.approx(MAX_MS, abs=0.5)
    assert all(zone_matrix()[a][b] == zone_matrix()[b][a] for a in range(ZONES) for b in range(ZONES))


def test_liars_have_less_than_a_third_of_the_power():
    for seed in range(300):
        plan = make_plan(seed, Options())
        assert 3 * sum(plan.powers[i] for i in plan.byzantine) < sum(plan.powers)


def test_streams_do_not_disturb_each_other():
    first, second = Streams(7), Streams(7)
    first["other"].random()
    assert first["plan"].random() == second["plan"].random()


def test_a_failing_plan_is_shrunk_to_what_it_needs(monkeypatch):
    """A node that forgets its log in a crash breaks an invariant; all other faults are noise."""
    original = CoreNode.crash

    def forget(self):
        original(self)
        self.disk.log, self.disk.synced = [], 0

    monkeypatch.setattr(CoreNode, "crash", forget)
    options = Options()
    plan = Plan(
        seed=1,
        powers=(1, 1, 1, 1),
        byzantine=(3,),
        script="amnesia",
        duplicate=0.1,
        latency=Latency("uniform", 20.0),
        slow_application_ms=10,
        crashes=tuple(Crash(0, 0, at, 50) for at in (9_000, 9_500)),
    )
    found = next(p for seed in range(60) if run_plan(p := replace(plan, seed=seed), options).violation)
    invariant = run_plan(found, options).invariant
    small = shrink(found, options, invariant)
    assert run_plan(small, options).invariant == invariant
    assert small.duplicate == 0.0
    assert len(small.crashes) <= 1
