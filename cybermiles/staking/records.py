"""The words that staking packs several numbers into: one NamedTuple and one `Packed` for each.

One word holds what changes together, so that a block touches few. Amounts are 96 bits: the cap of the supply is 10^28
wei, under 2^94.
"""

from __future__ import annotations

from typing import NamedTuple

from cybermiles.state.slots import Packed

PPM = 1_000_000
"""Parts per million: the unit of rates in storage and ABIs."""


class Ledger(NamedTuple):
    """The books' sums."""

    liabilities: int
    """Wei that belong to somebody: stake, exits, awards credited. The rest of the contract's balance is the pot."""
    minted: int
    """Wei minted since genesis."""
    candidates: int
    """Candidacies ever declared; the newest id."""
    snapshots: int
    """Snapshots ever opened; the newest id."""


class Genesis(NamedTuple):
    """What the supply is counted from."""

    supply: int
    time: int


class Year(NamedTuple):
    """The year of the newest block, counted from 0 at genesis."""

    number: int
    supply: int
    """All wei ever minted at its start, genesis included; 0 in year 0."""


class KeyUse(NamedTuple):
    """Whose consensus key, and at which heights."""

    candidate: int
    since: int
    until: int
    """Height at which another key replaced it; 0 while it is in use."""


class Status(NamedTuple):
    """What the election and most operations look at."""

    total: int
    """Wei in all pools."""
    cap: int
    """Wei that delegations may fill it up to."""
    rate: int
    """Part of delegators' awards that the owner keeps, for new delegations and at most. PPM."""
    flags: int
    pools: int
    """Pools in use or used before, beside pool 0."""
    default: int
    """Pool of new delegations."""


class Awards(NamedTuple):
    """Awards credited to a candidate."""

    pending: int
    """Wei not shared out to the pools yet."""
    last: int
    """Wei of the last block that paid it."""
    height: int
    """Of that block."""


class Identity(NamedTuple):
    """Who a candidate is."""

    owner: int
    since: int
    """Height of the declaration."""
    delegators: int
    """Accounts with a delegation, the owner's among them."""


class Watch(NamedTuple):
    """Presence and places."""

    missed: int
    """Bits set in the window."""
    window: int
    """Blocks that the bits cover; 0 before the first one was set."""
    since: int
    """Height of the election that it was elected in, last time."""
    left: int
    """Last height whose votes were looked at; 0 while it is elected."""
    jailed_until: int
    place: int
    """Place among the contenders, from 1; 0 is none."""
    mark: int
    """Newest snapshot that it has a checkpoint for."""


class Pool(NamedTuple):
    """Stake under one compensation rate."""

    tokens: int
    shares: int
    rate: int
    """PPM; 0 in pool 0, the owner's."""


class Position(NamedTuple):
    """A delegation."""

    shares: int
    pool: int
    in_candidate: int
    """Place in the candidate's list of delegators."""
    in_holder: int
    """Place in the holder's list of candidates."""
    mark: int
    """Newest snapshot that it has a checkpoint for."""


class Past(NamedTuple):
    """What a delegation came from; nothing is paid by it."""

    principal: int
    slashed: int
    since: int


class Arrival(NamedTuple):
    """Exits of a delegation, and stake in it that moved here from another candidate."""

    leaving: int
    """Wei of unpaid exits."""
    source: int
    """Candidate that the arrived shares stay liable for; 0: none."""
    height: int
    """At which they left it."""
    until: int
    """Time at which the liability ends."""
    seen: int
    """Slashes of the source that were looked at."""


class ExitHead(NamedTuple):
    """Whom an exit pays."""

    holder: int
    amount: int


class ExitBody(NamedTuple):
    """What an exit stays liable for."""

    candidate: int
    height: int
    release: int
    """Time of the payment."""
    seen: int
    """Slashes of the candidate that hit the stake before it left."""
    slot: int
    """Place in the holder's list of exits."""


class ExitArrival(NamedTuple):
    """The part of an exit that is liable for another candidate too."""

    amount: int
    source: int
    height: int
    until: int
    seen: int


class Queue(NamedTuple):
    """Exits in order of payment."""

    head: int
    """The next to pay."""
    tail: int
    """The next to be queued."""
    total: int
    """Wei of all of them."""


class Slash(NamedTuple):
    """One punishment."""

    fault_height: int
    height: int
    time: int
    ratio: int
    """PPM."""
    fault: int


class Seat(NamedTuple):
    """A member of the elected set; its rank is its place."""

    address: int
    """Consensus address."""
    candidate: int
    power: int


class Offer(NamedTuple):
    """An ownership on offer."""

    candidate: int
    to: int


LEDGER_WORD = Packed(Ledger, liabilities=96, minted=96, candidates=32, snapshots=32)
GENESIS_WORD = Packed(Genesis, supply=96, time=64)
YEAR_WORD = Packed(Year, number=32, supply=96)
KEY_WORD = Packed(KeyUse, candidate=32, since=64, until=64)
STATUS_WORD = Packed(Status, total=96, cap=96, rate=24, flags=8, pools=8, default=8)
AWARDS_WORD = Packed(Awards, pending=96, last=96, height=64)
IDENTITY_WORD = Packed(Identity, owner=160, since=64, delegators=32)
WATCH_WORD = Packed(Watch, missed=24, window=24, since=48, left=48, jailed_until=48, place=32, mark=32)
POOL_WORD = Packed(Pool, tokens=96, shares=128, rate=24)
POSITION_WORD = Packed(Position, shares=128, pool=8, in_candidate=32, in_holder=32, mark=32)
PAST_WORD = Packed(Past, principal=96, slashed=96, since=64)
ARRIVAL_WORD = Packed(Arrival, leaving=96, source=32, height=48, until=48, seen=32)
EXIT_HEAD_WORD = Packed(ExitHead, holder=160, amount=96)
EXIT_BODY_WORD = Packed(ExitBody, candidate=32, height=64, release=64, seen=32, slot=32)
EXIT_ARRIVAL_WORD = Packed(ExitArrival, amount=96, source=32, height=48, until=48, seen=32)
QUEUE_WORD = Packed(Queue, head=64, tail=64, total=96)
SLASH_WORD = Packed(Slash, fault_height=64, height=64, time=64, ratio=24, fault=8)
SEAT_WORD = Packed(Seat, address=160, candidate=32, power=64)
OFFER_WORD = Packed(Offer, candidate=32, to=160)

# Flags of `Status`

ACTIVE = 1
VERIFIED = 2
WITHDRAWN = 4
TOMBSTONED = 8
JAILED = 16
SEATED = 32
"""In the elected set."""
