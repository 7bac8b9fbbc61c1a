"""The pool's rules as tables, and as a machine that no sequence of events brings out of order."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cybermiles.chain.params import ChainParams
from cybermiles.errors import (
    AlreadyKnown,
    InsufficientFunds,
    InvalidTransaction,
    NonceTooHigh,
    NonceTooLow,
    PoolFull,
    ReplacementUnderpriced,
)
from cybermiles.mempool.limits import PoolLimits
from cybermiles.mempool.ordering import ServedSenders, select
from cybermiles.mempool.pool import Pool
from tests.factories import ADDRESSES, KEYS, PAID, sign

RICH = 10**24


def make_pool(**limits):
    return Pool(PoolLimits(**limits), ChainParams())


def add(pool, sender, nonce, *, price=PAID, at=0, account_nonce=0, balance=RICH, **fields):
    tx = sign(KEYS[sender], nonce, price=price, **fields)
    dropped = pool.add(tx, account_nonce, balance, at)
    return tx, dropped


def pending(pool, sender):
    state = pool.senders.get(ADDRESSES[sender])
    return [] if state is None else [entry.transaction.nonce for entry in state.pending()]


def queued(pool, sender):
    return [entry.transaction.nonce for entry in pool.senders[ADDRESSES[sender]].queued()]


def test_nonces_without_a_gap_are_pending_and_the_rest_waits():
    pool = make_pool()
    for nonce in (0, 1, 3, 5):
        add(pool, 0, nonce)
    assert (pending(pool, 0), queued(pool, 0)) == ([0, 1], [3, 5])
    assert pool.pending_nonce(ADDRESSES[0]) == 2
    add(pool, 0, 2)
    assert (pending(pool, 0), queued(pool, 0)) == ([0, 1, 2, 3], [5])
    assert pool.pending_nonce(ADDRESSES[1]) is None


@pytest.mark.parametrize(
    ("offer", "error", "phrase"),
    [
        ({"nonce": 1, "account_nonce": 2}, NonceTooLow, "nonce too low: next nonce 2, tx nonce 1"),
        ({"nonce": 0, "value": 5, "balance": 4}, InsufficientFunds, "insufficient funds for gas \\* price \\+ value"),
        ({"nonce": 0, "gas": 600_000, "balance": 600_000 * PAID - 1}, InsufficientFunds, f"want {600_000 * PAID}"),
        ({"nonce": 2_000}, NonceTooHigh, "nonce too high: next nonce 0, tx nonce 2000"),
    ],
)
def test_an_offer_the_account_does_not_allow_is_refused(offer, error, phrase):
    pool = make_pool()
    with pytest.raises(error, match=phrase):
        add(pool, 0, offer.pop("nonce"), **offer)
    assert len(pool) == 0
    assert pool.senders == {}


def test_an_account_without_coins_may_offer_a_free_transaction():
    pool = make_pool()
    add(pool, 0, 0, balance=0, price=PAID)
    add(pool, 1, 0, balance=0, price=0, gas=500_000)
    assert len(pool) == 2


def test_the_same_transaction_is_known():
    pool = make_pool()
    add(pool, 0, 0)
    with pytest.raises(AlreadyKnown, match="already known"):
        add(pool, 0, 0)


@pytest.mark.parametrize(
    ("cap", "tip", "accepted"),
    [
        (PAID * 110 // 100, PAID * 110 // 100, True),
        (PAID * 110 // 100 - 1, PAID * 110 // 100 - 1, False),
        (3 * PAID, PAID, False),
        (PAID, PAID, False),
        (0, 0, False),
    ],
)
def test_a_paying_transaction_is_replaced_by_ten_percent_more_in_both_fees(cap, tip, accepted):
    pool = make_pool()
    old, _ = add(pool, 0, 0)
    if accepted:
        new, dropped = add(pool, 0, 0, price=cap, tip=tip, value=1)
        assert [drop.hash for drop in dropped] == [old.hash]
        assert new.hash.hex() in dropped[0].reason
        assert pool.get(old.hash) is None
    else:
        with pytest.raises(ReplacementUnderpriced, match="replacement transaction underpriced"):
            add(pool, 0, 0, price=cap, tip=tip, value=1)
        assert pool.get(old.hash) is old
    assert len(pool) == 1


def test_a_free_transaction_is_replaced_at_equal_price_three_times():
    pool = make_pool()
    for value in range(4):
        add(pool, 0, 0, price=0, value=value)
    with pytest.raises(ReplacementUnderpriced, match="free_replacements"):
        add(pool, 0, 0, price=0, value=9)
    add(pool, 0, 0, price=PAID, value=9)
    assert len(pool) == 1
    assert pool.free_count == 0


def test_limits_of_one_account():
    pool = make_pool(max_pending_per_sender=3, max_queued_per_sender=2)
    for nonce in (0, 1, 2):
        add(pool, 0, nonce)
    with pytest.raises(PoolFull, match="max_pending_per_sender"):
        add(pool, 0, 3)
    for nonce in (4, 5):
        add(pool, 0, nonce)
    with pytest.raises(PoolFull, match="max_queued_per_sender"):
        add(pool, 0, 6)


def test_a_full_pool_gives_way_to_who_pays_more():
    pool = make_pool(max_transactions=3)
    cheap, _ = add(pool, 0, 0, price=2 * PAID)
    add(pool, 1, 0, price=3 * PAID)
    add(pool, 2, 0, price=4 * PAID)
    with pytest.raises(PoolFull, match="txpool is full"):
        add(pool, 3, 0, price=2 * PAID)
    _, dropped = add(pool, 3, 0, price=5 * PAID)
    assert [drop.hash for drop in dropped] == [cheap.hash]
    assert len(pool) == 3


def test_a_free_transaction_never_pushes_out_a_paying_one():
    pool = make_pool(max_transactions=2)
    add(pool, 0, 0)
    add(pool, 1, 0)
    with pytest.raises(PoolFull):
        add(pool, 2, 0, price=0)
    assert pending(pool, 0) == pending(pool, 1) == [0]


def test_a_paying_transaction_pushes_out_a_free_one_and_a_queued_one_first():
    pool = make_pool(max_transactions=3)
    add(pool, 0, 0, price=9 * PAID)
    waiting, _ = add(pool, 1, 7, price=9 * PAID)
    free, _ = add(pool, 2, 0, price=0)
    _, first = add(pool, 3, 0)
    _, second = add(pool, 4, 0)
    assert [drop.hash for drop in first + second] == [waiting.hash, free.hash]


def test_a_newcomer_behind_a_gap_pushes_out_nobody_who_can_execute():
    pool = make_pool(max_transactions=1)
    add(pool, 0, 0, price=0)
    with pytest.raises(PoolFull):
        add(pool, 1, 5, price=9 * PAID)
    assert pending(pool, 0) == [0]


def test_an_entry_that_has_risen_since_the_order_was_made_protects_no_other():
    """A gap that closes lifts what waited behind it; who is worse than the newcomer still gives way."""
    pool = make_pool(max_transactions=200)
    for sender in range(3, 200):
        add(pool, sender, 0, price=3 * PAID)
    add(pool, 0, 1, price=9 * PAID)
    cheap = [add(pool, sender, 0, price=2 * PAID)[0].hash for sender in (1, 2)]
    with pytest.raises(PoolFull):  # makes the order, in which sender 0 is the worst
        add(pool, 200, 1)
    pushed = [*add(pool, 0, 0, price=4 * PAID)[1], *add(pool, 201, 0, price=4 * PAID)[1]]
    assert [drop.hash for drop in pushed] == [cheap[1], cheap[0]]
    assert pending(pool, 0) == [0, 1]


def test_the_order_is_made_again_however_many_newcomers_are_refused():
    pool = make_pool(max_transactions=200)
    for sender in range(199):
        add(pool, sender, 0, price=3 * PAID)
    last, _ = add(pool, 199, 0, price=5 * PAID)
    with pytest.raises(PoolFull):  # makes the order, in which sender 199 is the best
        add(pool, 200, 0)
    pool.discard(last.hash)
    worst, _ = add(pool, 201, 0, price=2 * PAID)
    for _ in range(3):
        with pytest.raises(PoolFull):
            add(pool, 202, 0, price=3 * PAID)
    _, dropped = add(pool, 202, 0, price=3 * PAID)
    assert [drop.hash for drop in dropped] == [worst.hash]


def test_free_transactions_have_their_own_cap():
    pool = make_pool(max_free=2)
    add(pool, 0, 0, price=0)
    add(pool, 1, 0, price=0)
    with pytest.raises(PoolFull):
        add(pool, 2, 0, price=0)
    add(pool, 2, 0)
    assert pool.free_count == 2


def test_the_free_cap_is_made_room_for_among_free_ones_only():
    pool = make_pool(max_free=1)
    add(pool, 0, 7, price=PAID)
    gapped, _ = add(pool, 1, 7, price=0)
    _, dropped = add(pool, 2, 0, price=0)
    assert [drop.hash for drop in dropped] == [gapped.hash]
    assert queued(pool, 0) == [7]


def test_a_block_removes_what_it_used_and_what_its_senders_cannot_do_any_more():
    pool = make_pool()
    first, _ = add(pool, 0, 0)
    rival, _ = add(pool, 0, 1)
    poor, _ = add(pool, 0, 2, value=10**20)
    add(pool, 0, 3)
    dropped = pool.committed([first], {ADDRESSES[0]: (2, 10**19)})
    reasons = {drop.hash: drop.reason for drop in dropped}
    assert reasons[rival.hash] == "nonce 1 was used by another transaction"
    assert "insufficient funds" in reasons[poor.hash]
    assert first.hash not in reasons
    assert (pending(pool, 0), queued(pool, 0)) == ([], [3])


def test_transactions_expire_by_their_kind():
    pool = make_pool(lifetime_seconds=100, free_lifetime_seconds=10)
    paying, _ = add(pool, 0, 0)
    free, _ = add(pool, 1, 0, price=0)
    gapped, _ = add(pool, 2, 5)
    assert pool.expire(9) == []
    assert {drop.hash for drop in pool.expire(10)} == {free.hash, gapped.hash}
    (last,) = pool.expire(100)
    assert (last.hash, last.reason) == (paying.hash, "not included within 100 seconds")
    assert len(pool) == pool.size_bytes == pool.free_count == 0


def order(pool, served=None, gas=10**9):
    chosen = select(pool, served or ServedSenders(), max_gas=gas, max_bytes=10**7)
    return [(ADDRESSES.index(tx.sender), tx.nonce) for tx in chosen]


def test_free_heads_come_first_then_the_best_price_in_nonce_order():
    pool = make_pool()
    add(pool, 0, 0, price=2 * PAID)
    add(pool, 0, 1, price=9 * PAID)
    add(pool, 1, 0, price=3 * PAID)
    add(pool, 2, 0, price=0)
    add(pool, 2, 1, price=0)
    add(pool, 3, 5, price=99 * PAID)
    assert order(pool) == [(2, 0), (1, 0), (0, 0), (0, 1)]


def test_the_least_recently_served_sender_is_first_in_the_free_lane():
    pool = make_pool()
    for sender in range(4):
        add(pool, sender, 0, price=0)
    served = ServedSenders()
    served.record(ADDRESSES[0], 9)
    served.record(ADDRESSES[1], 3)
    assert order(pool, served) == [(2, 0), (3, 0), (1, 0), (0, 0)]


def test_a_free_transaction_behind_a_paying_one_waits_for_the_next_block():
    pool = make_pool()
    add(pool, 0, 0)
    add(pool, 0, 1, price=0)
    add(pool, 0, 2)
    assert order(pool) == [(0, 0)]


def test_selection_stops_at_about_the_gas_asked_for():
    pool = make_pool()
    for nonce in range(10):
        add(pool, 0, nonce)
    assert len(order(pool, gas=21_000 * 4)) == 4


class PoolMachine(RuleBasedStateMachine):
    """Offers, blocks and time against a pool with small limits."""

    def __init__(self):
        super().__init__()
        self.limits = PoolLimits(
            max_transactions=14,
            max_bytes=2_000,
            max_free=5,
            max_pending_per_sender=4,
            max_queued_per_sender=2,
            lifetime_seconds=60,
            free_lifetime_seconds=20,
        )
        self.pool = Pool(self.limits, ChainParams())
        self.accounts = {sender: [0, RICH] for sender in range(6)}
        self.known = {}
        self.gone = {}
        self.now = 0

    def left(self, dropped):
        for drop in dropped:
            assert drop.reason
            assert drop.hash not in self.gone
            self.gone[drop.hash] = drop.reason

    @rule(
        sender=st.integers(0, 5),
        ahead=st.integers(-1, 5),
        price=st.sampled_from([0, 0, 1, PAID, 2 * PAID, 5 * PAID]),
        value=st.integers(0, 3),
    )
    def offer(self, sender, ahead, price, value):
        nonce, balance = self.accounts[sender]
        if nonce + ahead < 0:
            return
        tx = sign(KEYS[sender], nonce + ahead, price=price, value=value)
        before = {entry.transaction.hash for s in self.pool.senders.values() for entry in s.entries.values()}
        paying = {h for h in before if not self.pool.is_free(self.pool.get(h))}
        try:
            dropped = self.pool.add(tx, nonce, balance, self.now)
        except InvalidTransaction:
            after = {entry.transaction.hash for s in self.pool.senders.values() for entry in s.entries.values()}
            assert after == before
            return
        self.gone.pop(tx.hash, None)
        self.known[tx.hash] = tx
        if self.pool.is_free(tx):
            pushed = [drop for drop in dropped if drop.hash in paying and "pool is full" in drop.reason]
            assert all(not is_pending_before(self, drop.hash) for drop in pushed)
        self.left(dropped)

    @rule(count=st.integers(0, 5), stolen=st.integers(0, 5), spend=st.booleans())
    def block(self, count, stolen, spend):
        chosen = select(self.pool, ServedSenders(), max_gas=21_000 * count, max_bytes=10**6)[:count]
        changed = {}
        for tx in chosen:
            sender = ADDRESSES.index(tx.sender)
            if tx.nonce == self.accounts[sender][0]:
                self.accounts[sender][0] += 1
                changed[tx.sender] = sender
            else:
                chosen = [other for other in chosen if other is not tx]
        if spend:
            self.accounts[stolen][1] = 1
            changed[ADDRESSES[stolen]] = stolen
        accounts = {address: tuple(self.accounts[sender]) for address, sender in changed.items()}
        for tx in chosen:
            self.gone[tx.hash] = "included"
        self.left(self.pool.committed(chosen, accounts))

    @rule(seconds=st.integers(0, 30))
    def wait(self, seconds):
        self.now += seconds
        self.left(self.pool.expire(self.now))

    @invariant()
    def books_agree(self):
        pool = self.pool
        entries = [e for s in pool.senders.values() for e in s.entries.values()]
        assert len(pool) == len(entries)
        assert pool.size_bytes == sum(e.transaction.size for e in entries) <= self.limits.max_bytes
        assert pool.free_count == sum(e.is_free for e in entries) <= self.limits.max_free
        assert len(entries) <= self.limits.max_transactions
        for address, sender in pool.senders.items():
            assert sender.entries
            assert sender.nonce == self.accounts[ADDRESSES.index(address)][0]
            assert all(nonce == e.transaction.nonce >= sender.nonce for nonce, e in sender.entries.items())
            assert [e.transaction.nonce for e in sender.pending()] == list(range(sender.nonce, sender.next_nonce))
            assert sender.next_nonce not in sender.entries
            assert (
                sender.next_nonce - sender.nonce
                <= self.limits.max_pending_per_sender + self.limits.max_queued_per_sender
            )

    @invariant()
    def nothing_vanishes(self):
        for tx_hash, transaction in self.known.items():
            assert (self.pool.get(tx_hash) is not None) != (tx_hash in self.gone)
            assert self.pool.find(transaction.raw) is self.pool.get(tx_hash)


def is_pending_before(machine, tx_hash):
    return machine.known[tx_hash].nonce == machine.accounts[ADDRESSES.index(machine.known[tx_hash].sender)][0]


TestPoolMachine = PoolMachine.TestCase
TestPoolMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
