"""What holders do: delegate, undelegate, redelegate; and the rate that a validator grants one of them.

Everything opens the books, answers for what moved here earlier, changes, and closes the books, so that awards and
slashes before an operation are what they would be without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.staking.book import OWN, close_book, open_book
from cybermiles.staking.errors import (
    BadCompRate,
    BelowMinimum,
    CooldownUntil,
    NotAllowed,
    NotEnoughStake,
    SameValidator,
    SelfStakeTooLow,
    StakeCapReached,
    TooManyRates,
    ValidatorTombstoned,
    ValidatorWithdrawn,
)
from cybermiles.staking.exits import queue_exit
from cybermiles.staking.holdings import (
    answer_for_source,
    count_slashed,
    load_holding,
    slash_count,
    slash_index,
    store_holding,
)
from cybermiles.staking.layout import MAX_POOLS, candidate_of
from cybermiles.staking.records import TOMBSTONED, WITHDRAWN, Arrival, Past
from cybermiles.staking.state import portion_up

if TYPE_CHECKING:
    from cybermiles.staking.book import Book
    from cybermiles.staking.holdings import Holding
    from cybermiles.staking.records import Status
    from cybermiles.staking.state import StakingState
    from cybermiles.types.primitives import Address

ALL = 2**256 - 1
"""An amount that means everything."""
_LAST_TIME = 2**48 - 1


def delegate(state: StakingState, holder: Address, validator: Address, amount: int) -> int:
    """Stake `amount` wei, which are in the contract's balance already; return what the delegation is worth then.

    Raises UnknownValidator, ValidatorTombstoned, ValidatorWithdrawn, StakeCapReached, and BelowMinimum for nothing
    and for a delegation under the minimum.
    """
    candidate = state.find(validator)
    book, holding = open_book(state.storage, candidate), load_holding(state.storage, holder, candidate)
    if amount <= 0:
        raise BelowMinimum(1)
    answer_for_source(state, holding, book)
    _put_in(state, book, holding, amount)
    state.owe(amount)
    close_book(state, book)
    store_holding(state, holding)
    worth = holding.value(book)
    state.events.emit("Delegated", holder, validator, amount, worth)
    return worth


def undelegate(state: StakingState, holder: Address, validator: Address, amount: int) -> tuple[int, int]:
    """Queue an exit of `amount` wei; return its id and the time at which it is paid.

    All leaves for `ALL`, and where less than the minimum would stay: awards come in every block, so that nobody could
    name the sum of everything in time. Raises UnknownValidator, NotEnoughStake, BelowMinimum for nothing,
    SelfStakeTooLow for the owner of a candidacy that goes on, TooManyExits.
    """
    candidate = state.find(validator)
    book, holding = open_book(state.storage, candidate), load_holding(state.storage, holder, candidate)
    answer_for_source(state, holding, book)
    amount, arrived = _take_out(state, book, holding, amount)
    exit_id, release = queue_exit(state, holding, amount, arrived)
    close_book(state, book)
    store_holding(state, holding)
    state.events.emit("ExitRequested", holder, validator, exit_id, amount, release)
    return exit_id, release


def redelegate(state: StakingState, holder: Address, source: Address, target: Address, amount: int) -> None:
    """Move `amount` wei from one validator to another at once; they stay liable for the source's faults.

    All moves where `undelegate` would take all. Raises SameValidator, CooldownUntil while either delegation answers
    for an earlier move, and what `undelegate` and `delegate` raise.
    """
    if source == target:
        raise SameValidator
    from_, to = state.find(source), state.find(target)
    for candidate in (from_, to):
        until = load_holding(state.storage, holder, candidate).arrival.until
        if state.time < until:
            raise CooldownUntil(until)
    book, holding = open_book(state.storage, from_), load_holding(state.storage, holder, from_)
    answer_for_source(state, holding, book)
    amount, _ = _take_out(state, book, holding, amount)
    close_book(state, book)
    store_holding(state, holding)
    _arrive(state, holder, from_, to, amount)
    state.events.emit("Redelegated", holder, source, target, amount)


def set_rate_for(state: StakingState, owner: Address, delegator: Address, rate: int) -> None:
    """Grant a delegator a lower rate: at most the one it has, and at most the candidacy's. PPM.

    What a delegator came for is not taken back: a raised rate is for those who come later.

    Raises UnknownValidator where the caller owns no candidacy, ValidatorWithdrawn, BadCompRate, NotEnoughStake where
    the delegator has nothing here, NotAllowed for the owner, who pays no rate, TooManyRates.
    """
    candidate = state.find(owner)
    book, holding = open_book(state.storage, candidate), load_holding(state.storage, delegator, candidate)
    if book.status.flags & WITHDRAWN:
        raise ValidatorWithdrawn
    if delegator == owner:
        raise NotAllowed
    answer_for_source(state, holding, book)
    amount = holding.value(book)
    if not amount:
        raise NotEnoughStake(0, 1)
    most = min(book.status.rate, book.pools[holding.pool].rate)
    if not 1 <= rate <= most:
        raise BadCompRate(most, rate)
    pool = book.pool_at(rate)
    if pool is None or not (pool == holding.pool or book.takes(pool, amount)):
        raise TooManyRates(MAX_POOLS)
    if pool != holding.pool:
        _change_pool(state, book, holding, pool, amount)
    close_book(state, book)
    store_holding(state, holding)
    state.events.emit("CompRateSet", owner, delegator, rate)


def check_may_grow(status: Status) -> None:
    """Check that a candidate takes new stake. Raises ValidatorTombstoned, ValidatorWithdrawn."""
    if status.flags & TOMBSTONED:
        raise ValidatorTombstoned
    if status.flags & WITHDRAWN:
        raise ValidatorWithdrawn


def check_self_stake(state: StakingState, status: Status, own: int) -> None:
    """Check that an owner's stake is its part of the cap, rounded up. Raises SelfStakeTooLow."""
    need = portion_up(status.cap, state.params.self_staking_ratio)
    if own < need:
        raise SelfStakeTooLow(need, own)


def _put_in(state: StakingState, book: Book, holding: Holding, amount: int) -> int:
    """Add tokens to a delegation and return the shares they give."""
    check_may_grow(book.status)
    if book.stake + amount > book.status.cap:
        raise StakeCapReached(book.status.cap, book.stake + amount)
    is_owner = candidate_of(state.storage, holding.holder) == holding.candidate
    if not holding.shares:
        pool = OWN if is_owner else book.status.default
        holding.position = holding.position._replace(pool=pool)
        holding.past = Past(0, 0, state.height)
        holding.index = slash_index(state.storage, holding.candidate, pool)
    minimum = state.params.min_staking_amount
    if not is_owner and holding.value(book) + amount < minimum:
        raise BelowMinimum(minimum)
    if not book.takes(holding.pool, amount):
        raise BelowMinimum(book.least_deposit(holding.pool))
    count_slashed(state.storage, holding)
    shares = book.deposit(holding.pool, amount)
    holding.position = holding.position._replace(shares=holding.shares + shares)
    holding.past = holding.past._replace(principal=holding.past.principal + amount)
    return shares


def _take_out(state: StakingState, book: Book, holding: Holding, wanted: int) -> tuple[int, int]:
    """Take tokens from a delegation; return how many, and how many of them are liable for another candidate.

    What did not arrive from elsewhere goes first.
    """
    have = holding.value(book)
    amount = _amount_out(state, book, holding, have=have, wanted=wanted)
    count_slashed(state.storage, holding)
    gone = book.withdraw(holding.pool, holding.shares, amount)
    arrived = max(0, gone - (holding.shares - holding.arrived))
    holding.position = holding.position._replace(shares=holding.shares - gone)
    holding.arrived -= arrived
    past = holding.past
    holding.past = past._replace(
        principal=past.principal - past.principal * amount // have,
        slashed=past.slashed - past.slashed * amount // have,
    )
    return amount, -(-amount * arrived // gone)


def _amount_out(state: StakingState, book: Book, holding: Holding, *, have: int, wanted: int) -> int:
    """Return how much may leave. An owner may leave wholly when the candidacy is over."""
    amount = have if wanted == ALL else wanted
    if not have or amount > have:
        raise NotEnoughStake(have, wanted)
    if not amount:
        raise BelowMinimum(1)
    is_owner = candidate_of(state.storage, holding.holder) == holding.candidate
    if is_owner and not book.status.flags & (WITHDRAWN | TOMBSTONED):
        check_self_stake(state, book.status, have - amount)
        return amount
    return have if have - amount < state.params.min_staking_amount else amount


def _arrive(state: StakingState, holder: Address, source: int, target: int, amount: int) -> None:
    book, holding = open_book(state.storage, target), load_holding(state.storage, holder, target)
    answer_for_source(state, holding, book)
    shares = _put_in(state, book, holding, amount)
    holding.arrived += shares
    holding.arrival = Arrival(
        leaving=holding.arrival.leaving,
        source=source,
        height=state.height,
        until=min(state.time + state.params.unbonding_seconds, _LAST_TIME),
        seen=slash_count(state.storage, source),
    )
    close_book(state, book)
    store_holding(state, holding)


def _change_pool(state: StakingState, book: Book, holding: Holding, pool: int, amount: int) -> None:
    """Move a whole delegation into another pool; the liable part of it stays the same part, rounded up."""
    count_slashed(state.storage, holding)
    before, arrived = holding.shares, holding.arrived
    book.remove(holding.pool, before, amount)
    shares = book.deposit(pool, amount)
    holding.position = holding.position._replace(shares=shares, pool=pool)
    holding.arrived = -(-arrived * shares // before)
    holding.index = slash_index(state.storage, holding.candidate, pool)
