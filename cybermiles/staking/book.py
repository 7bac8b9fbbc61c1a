"""A candidate's book: its stake in pools, and how awards, deposits and withdrawals change it.

Pool 0 is the owner's own stake, each other pool is the stake under one compensation rate. A pool is (tokens, shares);
a delegation is shares of a pool. Awards raise tokens per share and slashes lower it, for all of a pool at once.

    awards ─► pending ─┐ whenever the book is opened
                       ▼
    by weight: each pool's part · (1 - rate) ─► that pool        own part + what the rates keep ─► pool 0
               each rounded down; the remainder stays pending

Awards wait as pending so that a block changes one word of a candidate. Nothing changes a pool before they are shared
out, so everybody gets the same as at once. What a pool got earns awards itself only from the candidate's next turn on
(`compound`, in every block for another member): until then it is `due`, and the pool's weight is its tokens without it.
So nobody compounds more often by touching a book.

Rounding is against who acts: shares for a deposit round down, shares for a withdrawal round up, what the last one
leaves in a pool goes to the award pot. So tokens per share never fall but by slashes, and nobody takes from who stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.errors import InvariantViolation
from cybermiles.staking import contenders
from cybermiles.staking.layout import AWARDS, DUES, MAX_POOLS, POOLS, STATUS, awards_of, candidate_slot, status_of
from cybermiles.staking.records import AWARDS_WORD, POOL_WORD, PPM, STATUS_WORD, Pool
from cybermiles.staking.snapshots import keep_pools
from cybermiles.state.slots import WORD_LIMIT

if TYPE_CHECKING:
    from cybermiles.staking.records import Awards, Status
    from cybermiles.staking.state import StakingState
    from cybermiles.state.slots import ReadStorage

OWN = 0
"""The pool of the owner's stake."""
MAX_SHARES = 1 << 127
"""Of one pool: where slashes made shares worth next to nothing, a pool takes no more deposits."""


class Book:
    """One candidate's pools in memory, with all awards shared out. Writing back is `close_book`."""

    __slots__ = ("awards", "candidate", "dues", "pending", "pools", "residue", "status")
    pending: int
    """What the rounding of the awards left. Wei."""
    residue: int
    """Wei that belong to nobody any more: what the last share of a pool left, and the part of an owner who left."""

    def __init__(
        self, candidate: int, status: Status, awards: Awards, pools: list[Pool], dues: list[int] | None = None
    ) -> None:
        self.candidate = candidate
        self.status = status
        self.awards = awards
        self.pools = pools
        self.dues = [0] * len(pools) if dues is None else dues
        """Part of each pool's tokens that has no weight yet. Wei."""
        self.pending, self.residue = _share_out(pools, self.dues, awards.pending)

    @property
    def stake(self) -> int:
        """All stake with the candidate. Wei."""
        return sum(pool.tokens for pool in self.pools) + self.pending

    @property
    def own(self) -> int:
        """The owner's stake. Wei."""
        return self.pools[OWN].tokens

    def value(self, pool: int, shares: int) -> int:
        """Return what shares of a pool are worth, rounded down. Wei."""
        held = self.pools[pool]
        return shares * held.tokens // held.shares if shares else 0

    def takes(self, pool: int, amount: int) -> bool:
        """Tell whether a pool can take a deposit and give shares for it."""
        return self._shares_for(pool, amount) > 0 and self.pools[pool].shares + self._shares_for(pool, amount) < (
            MAX_SHARES
        )

    def least_deposit(self, pool: int) -> int:
        """Return how many tokens give a share; more than there are where a pool takes none any more. Wei."""
        held = self.pools[pool]
        return -(-held.tokens // held.shares) if held.tokens > 0 and held.shares < MAX_SHARES // 2 else WORD_LIMIT - 1

    def deposit(self, pool: int, amount: int) -> int:
        """Add tokens to a pool and return the shares they give, rounded down."""
        shares, held = self._shares_for(pool, amount), self.pools[pool]
        self.pools[pool] = held._replace(tokens=held.tokens + amount, shares=held.shares + shares)
        return shares

    def withdraw(self, pool: int, shares: int, amount: int) -> int:
        """Take tokens that `shares` are worth at least, and return how many of the shares go, rounded up."""
        held = self.pools[pool]
        gone = shares if amount == self.value(pool, shares) else -(-amount * held.shares // held.tokens)
        if amount > held.tokens or gone > shares:
            raise InvariantViolation(f"{amount} wei of {shares} shares in {held}")
        self.remove(pool, gone, amount)
        return gone

    def remove(self, pool: int, shares: int, tokens: int) -> None:
        """Take shares and tokens out of a pool; what the last share leaves is nobody's."""
        self.cut(pool, tokens)
        held = self.pools[pool]
        held = held._replace(shares=held.shares - shares)
        if not held.shares:
            self.residue += held.tokens
            held = held._replace(tokens=0)
            self.dues[pool] = 0
        self.pools[pool] = held

    def cut(self, pool: int, tokens: int) -> None:
        """Take tokens out of a pool, the same part of those with weight and those without, rounded up of the latter."""
        held = self.pools[pool]
        if tokens:
            self.dues[pool] -= -(-self.dues[pool] * tokens // held.tokens)
            self.pools[pool] = held._replace(tokens=held.tokens - tokens)

    def compound(self) -> None:
        """Give all tokens weight."""
        self.dues = [0] * len(self.pools)

    def pool_at(self, rate: int) -> int | None:
        """Return the pool of a rate, a new or an empty one where none has it; None where all are in use.

        The pool of new delegations counts as in use also while it is empty.
        """
        for index, pool in enumerate(self.pools[1:], start=1):
            if pool.rate == rate:
                return index
        for index, pool in enumerate(self.pools[1:], start=1):
            if not pool.shares and index != self.status.default:
                self.pools[index] = pool._replace(rate=rate)
                return index
        if len(self.pools) > MAX_POOLS:
            return None
        self.pools.append(Pool(0, 0, rate))
        self.dues.append(0)
        return len(self.pools) - 1

    def _shares_for(self, pool: int, amount: int) -> int:
        held = self.pools[pool]
        if not held.shares:
            return amount
        return amount * held.shares // held.tokens if held.tokens else 0


def open_book(storage: ReadStorage, candidate: int) -> Book:
    """Return a candidate's book with its awards shared out."""
    status = status_of(storage, candidate)
    first = candidate_slot(candidate) + POOLS
    pools = [POOL_WORD.load(storage, first + index) for index in range(status.pools + 1)]
    dues = [storage.load(candidate_slot(candidate) + DUES + index) for index in range(status.pools + 1)]
    return Book(candidate, status, awards_of(storage, candidate), pools, dues)


def close_book(state: StakingState, book: Book) -> None:
    """Write a book back, give the pot what is nobody's, and put the candidate in its place among the contenders."""
    storage, slot = state.storage, candidate_slot(book.candidate)
    keep_pools(state, book.candidate)
    total = sum(pool.tokens for pool in book.pools)
    if not total:
        book.residue += book.pending
        book.pending = 0
    if book.residue:
        state.owe(-book.residue)
        book.residue = 0
    for index, pool in enumerate(book.pools):
        POOL_WORD.store(storage, slot + POOLS + index, pool)
        storage.store(slot + DUES + index, book.dues[index])
    book.status = book.status._replace(total=total, pools=len(book.pools) - 1)
    book.awards = book.awards._replace(pending=book.pending)
    STATUS_WORD.store(storage, slot + STATUS, book.status)
    AWARDS_WORD.store(storage, slot + AWARDS, book.awards)
    contenders.refresh(state, book.candidate)


def _share_out(pools: list[Pool], dues: list[int], pending: int) -> tuple[int, int]:
    """Add awards to the pools; return the remainder and the part of an owner who has no stake here any more."""
    weights = [pool.tokens - due for pool, due in zip(pools, dues, strict=True)]
    total = sum(weights)
    if not pending or not total:
        return pending, 0
    kept = sum(weight * pool.rate for weight, pool in zip(weights, pools, strict=True))
    own = pending * weights[OWN] // total + pending * kept // (total * PPM)
    gains = [pending * w * (PPM - pool.rate) // (total * PPM) for w, pool in zip(weights, pools, strict=True)]
    gains[OWN] = own if pools[OWN].shares else 0
    for index, gain in enumerate(gains):
        pools[index] = pools[index]._replace(tokens=pools[index].tokens + gain)
        dues[index] += gain
    left_out = own - gains[OWN]
    return pending - sum(gains) - left_out, left_out
