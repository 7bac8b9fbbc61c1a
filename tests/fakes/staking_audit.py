"""Everything that must hold of staking's books after every block, found again from the storage alone."""

from __future__ import annotations

from cybermiles.chain.predeploys import STAKING
from cybermiles.staking import contenders
from cybermiles.staking.book import open_book
from cybermiles.staking.election import seats_of
from cybermiles.staking.exits import MAX_EXITS, exit_body, exit_head, exits_of, payable
from cybermiles.staking.holdings import load_holding
from cybermiles.staking.layout import (
    CONTENDERS,
    MISSED,
    QUEUE,
    awards_of,
    candidate_slot,
    consensus_key_of,
    delegators_view,
    held_view,
    identity_of,
    ledger_of,
    owner_of,
    status_of,
    watch_of,
)
from cybermiles.staking.records import QUEUE_WORD, SEATED
from cybermiles.staking.views import delegation_view, worth
from cybermiles.state.slots import ArrayView, items_slot
from cybermiles.types.primitives import Address
from cybermiles.types.validator import consensus_address


def audit(world, storage, *, genesis, minted, accounts):
    """Raise AssertionError where the books do not add up."""
    count = ledger_of(storage).candidates
    queue = QUEUE_WORD.load(storage, QUEUE)
    exits = list(range(queue.head + 1, queue.tail + 1))
    staked = sum(audit_candidate(storage, candidate) for candidate in range(1, count + 1))
    leaving = audit_exits(storage, exits, queue, accounts)
    assert ledger_of(storage).liabilities == staked + leaving, "what is owed is what somebody has"
    assert world.balance(STAKING) >= staked + leaving, "and it is there"
    everything = world.balance(STAKING) + sum(world.balance(holder) for holder in accounts)
    assert everything + world.burnt == genesis + minted, "no coin came or went"
    audit_holders(storage, accounts)
    audit_seats(storage, count)


def audit_candidate(storage, candidate):
    """Check one candidate's pools, lists and window; return its stake."""
    status, awards = status_of(storage, candidate), awards_of(storage, candidate)
    book = open_book(storage, candidate)
    delegators = delegators_view(storage, candidate)
    holders = [storage.load_address(delegators.slot_of(index)) for index in range(len(delegators))]
    assert len(set(holders)) == len(holders) == identity_of(storage, candidate).delegators
    shares = [0] * len(book.pools)
    worths = [0] * len(book.pools)
    for index, holder in enumerate(holders):
        holding = load_holding(storage, holder, candidate)
        assert holding.position.in_candidate == index
        assert 0 < holding.shares
        assert 0 <= holding.arrived <= holding.shares
        assert (holder == owner_of(storage, candidate)) == (holding.pool == 0)
        shares[holding.pool] += holding.shares
        worths[holding.pool] += holding.value(book)
        assert 0 <= worth(storage, holding, book) <= holding.value(book)
        view = delegation_view(storage, holder, candidate)
        assert min(view.principal, view.awards, view.slashed, view.leaving) >= 0
    for pool, sum_of_shares, sum_of_worths in zip(book.pools, shares, worths, strict=True):
        assert pool.shares == sum_of_shares, "shares are somebody's"
        assert sum_of_worths <= pool.tokens < sum_of_worths + len(holders) + 1, "and so are tokens, but for rounding"
    assert book.stake + book.residue == status.total + awards.pending
    assert all(0 <= due <= pool.tokens for due, pool in zip(book.dues, book.pools, strict=True))
    watch = watch_of(storage, candidate)
    first = items_slot(candidate_slot(candidate) + MISSED)
    bits = sum(storage.load((first + i) % 2**256).bit_count() for i in range(-(-watch.window // 256)))
    assert bits == watch.missed
    return status.total + awards.pending


def audit_exits(storage, exits, queue, accounts):
    """Check the queue against the holders' lists; return the wei in it."""
    bodies = [exit_body(storage, exit_id) for exit_id in exits]
    assert [body.release for body in bodies] == sorted(body.release for body in bodies), "who comes first is paid first"
    assert queue.total == sum(exit_head(storage, exit_id).amount for exit_id in exits)
    assert all(0 <= payable(storage, exit_id) <= exit_head(storage, exit_id).amount for exit_id in exits)
    found = []
    for holder in accounts:
        mine = exits_of(storage, holder)
        assert len(mine) <= MAX_EXITS
        for place, exit_id in enumerate(mine):
            assert exit_body(storage, exit_id).slot == place
            assert Address(exit_head(storage, exit_id).holder.to_bytes(20)) == holder
        found += mine
    assert sorted(found) == exits
    for holder in accounts:
        leaving = {}
        for exit_id in exits_of(storage, holder):
            candidate = exit_body(storage, exit_id).candidate
            leaving[candidate] = leaving.get(candidate, 0) + exit_head(storage, exit_id).amount
        for candidate, amount in leaving.items():
            assert load_holding(storage, holder, candidate).arrival.leaving == amount
    return queue.total


def audit_holders(storage, accounts):
    """Check each account's list of candidates."""
    for holder in accounts:
        held = held_view(storage, holder)
        ids = [storage.load(held.slot_of(index)) for index in range(len(held))]
        assert len(set(ids)) == len(ids)
        for place, candidate in enumerate(ids):
            holding = load_holding(storage, holder, candidate)
            assert holding.shares
            assert holding.position.in_holder == place


def audit_seats(storage, count):
    """Check the seats, and that exactly those who wait are in the heap, each under its parent."""
    seats = seats_of(storage)
    assert [(-seat.power, seat.address) for seat in seats] == sorted((-seat.power, seat.address) for seat in seats)
    seated = {seat.candidate for seat in seats}
    assert len(seated) == len(seats)
    assert seated == {n for n in range(1, count + 1) if status_of(storage, n).flags & SEATED}
    heap = ArrayView(storage, CONTENDERS)
    words = [storage.load(heap.slot_of(index)) for index in range(len(heap))]
    assert all(words[(index - 1) // 2] >= words[index] for index in range(1, len(words)))
    waiting = {n for n in range(1, count + 1) if contenders.is_standing(status_of(storage, n)) and n not in seated}
    places = {watch_of(storage, n).place: n for n in range(1, count + 1) if watch_of(storage, n).place}
    assert set(places.values()) == waiting
    for place, candidate in places.items():
        assert words[place - 1] == contenders.rank_word(storage, candidate)
    for seat in seats:
        if contenders.is_standing(status_of(storage, seat.candidate)):
            assert int.from_bytes(consensus_address(consensus_key_of(storage, seat.candidate))) >= 0
