"""The life of a candidacy: declared, changed, active or not, moved to another owner, withdrawn.

    declare ─► active ⇄ inactive (deactivate, activate)
                 │  absence: jailed until a time, then activate
                 │  signed twice: tombstoned, for ever
                 └─ withdraw: over, for ever; the owner's stake leaves, delegators take theirs out when they like

A candidacy has a number for ever, its owner may change. Its key may change; no key is ever anybody else's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.chain.predeploys import is_reserved
from cybermiles.staking import contenders
from cybermiles.staking.book import OWN, close_book, open_book
from cybermiles.staking.delegations import ALL, check_self_stake, undelegate
from cybermiles.staking.errors import (
    AlreadyActive,
    AlreadyValidator,
    BadCompRate,
    BelowMinimum,
    NotAllowed,
    StakeCapReached,
    TextTooLong,
    TooManyRates,
    UnknownOffer,
    ValidatorJailed,
    ValidatorTombstoned,
    ValidatorWithdrawn,
)
from cybermiles.staking.holdings import answer_for_source, count_slashed, load_holding, store_holding
from cybermiles.staking.keys import check_key, enter_key, retire_key
from cybermiles.staking.layout import (
    FOUNDATION,
    ID_OF,
    IDENTITY,
    KEY,
    LEDGER,
    MAX_POOLS,
    OFFER_COUNT,
    OFFER_OF,
    OFFERS,
    POOLS,
    PROFILE,
    REBUILD,
    as_address,
    candidate_of,
    candidate_slot,
    consensus_key_of,
    identity_of,
    ledger_of,
    status_of,
    store_status,
    store_watch,
    watch_of,
)
from cybermiles.staking.records import (
    ACTIVE,
    IDENTITY_WORD,
    JAILED,
    LEDGER_WORD,
    OFFER_WORD,
    POOL_WORD,
    PPM,
    SEATED,
    TOMBSTONED,
    VERIFIED,
    WITHDRAWN,
    Identity,
    Offer,
    Past,
    Pool,
    Position,
    Status,
)
from cybermiles.state.slots import mapping_slot
from cybermiles.types.primitives import ZERO_ADDRESS

if TYPE_CHECKING:
    from cybermiles.staking.records import Watch
    from cybermiles.staking.state import StakingState
    from cybermiles.state.slots import Storage
    from cybermiles.types.primitives import Address

MAX_RATE = PPM - 1
"""A validator keeps less than everything."""
PROFILE_LIMITS = {"name": 64, "website": 128, "location": 64, "email": 64, "about": 1024}
"""Bytes of UTF-8 of each text, in the order of the ABI's struct."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a candidacy starts with."""

    key: bytes
    cap: int
    """Wei."""
    rate: int
    """PPM."""
    stake: int
    """The owner's own, already in the contract's balance. Wei."""
    profile: tuple[str, ...]


def declare(state: StakingState, owner: Address, declaration: Declaration, proof: bytes, message: bytes) -> int:
    """Open a candidacy and return its number. `message` is what the proof must sign.

    Raises AlreadyValidator, BadCompRate, StakeCapReached, BelowMinimum, SelfStakeTooLow, TextTooLong, BadConsensusKey,
    ConsensusKeyUsed, BadKeyProof.
    """
    if candidate_of(state.storage, owner):
        raise AlreadyValidator(owner)
    _check_rate(declaration.rate)
    if declaration.cap > state.params.max_supply:
        raise StakeCapReached(state.params.max_supply, declaration.cap)
    if declaration.stake > declaration.cap:
        raise StakeCapReached(declaration.cap, declaration.stake)
    if declaration.stake < state.params.min_staking_amount:
        raise BelowMinimum(state.params.min_staking_amount)
    status = Status(0, declaration.cap, declaration.rate, ACTIVE, 1, 1)
    check_self_stake(state, status, declaration.stake)
    _check_profile(declaration.profile)
    check_key(state.storage, declaration.key, proof, message)
    candidate = open_candidacy(state, owner, declaration)
    state.events.emit("CandidacyDeclared", owner, declaration.key, declaration.stake, declaration.cap, declaration.rate)
    return candidate


def open_candidacy(state: StakingState, owner: Address, declaration: Declaration) -> int:
    """Write a checked declaration into the books and return the new number."""
    storage = state.storage
    ledger = ledger_of(storage)
    candidate = ledger.candidates + 1
    LEDGER_WORD.store(storage, LEDGER, ledger._replace(candidates=candidate))
    slot = candidate_slot(candidate)
    storage.store(mapping_slot(ID_OF, owner), candidate)
    IDENTITY_WORD.store(storage, slot + IDENTITY, Identity(int.from_bytes(owner), state.height, 0))
    storage.store(slot + KEY, int.from_bytes(declaration.key))
    enter_key(storage, declaration.key, candidate, state.height)
    store_status(storage, candidate, Status(0, declaration.cap, declaration.rate, ACTIVE, 1, 1))
    POOL_WORD.store(storage, slot + POOLS + 1, Pool(0, 0, declaration.rate))
    _store_profile(storage, candidate, declaration.profile)
    state.owe(declaration.stake)
    book, holding = open_book(storage, candidate), load_holding(storage, owner, candidate)
    shares = book.deposit(OWN, declaration.stake)
    holding.position = Position(shares, OWN, 0, 0, 0)
    holding.past = Past(declaration.stake, 0, state.height)
    close_book(state, book)
    store_holding(state, holding)
    return candidate


def update_profile(state: StakingState, owner: Address, profile: tuple[str, ...]) -> None:
    """Replace the texts; what the foundation verified is verified no more. Raises UnknownValidator, TextTooLong."""
    candidate = state.find(owner)
    _check_profile(profile)
    _store_profile(state.storage, candidate, profile)
    status = status_of(state.storage, candidate)
    if status.flags & VERIFIED:
        _set_flags(state, candidate, status.flags & ~VERIFIED)
        state.events.emit("VerifiedChanged", owner, False)  # noqa: FBT003  (the event's argument)
    state.events.emit("ProfileUpdated", owner)


def update_candidacy(state: StakingState, owner: Address, cap: int, rate: int, amount: int) -> None:
    """Change cap and rate, 0 leaves one as it is, and add `amount` wei to the owner's stake.

    The rate is that of new delegations and the limit of granted ones; what is delegated keeps its rate. A cap under the
    stake stops new delegations. Raises UnknownValidator, ValidatorTombstoned, ValidatorWithdrawn, BadCompRate,
    StakeCapReached, SelfStakeTooLow, TooManyRates.
    """
    candidate = state.find(owner)
    book, holding = open_book(state.storage, candidate), load_holding(state.storage, owner, candidate)
    _check_not_over(book.status)
    cap, rate = cap or book.status.cap, rate or book.status.rate
    _check_rate(rate)
    if cap > state.params.max_supply:
        raise StakeCapReached(state.params.max_supply, cap)
    if amount and book.stake + amount > cap:
        raise StakeCapReached(cap, book.stake + amount)
    answer_for_source(state, holding, book)
    if amount:
        state.owe(amount)
        count_slashed(state.storage, holding)
        shares = book.deposit(OWN, amount)
        holding.position = holding.position._replace(shares=holding.shares + shares)
        holding.past = holding.past._replace(principal=holding.past.principal + amount)
    book.status = book.status._replace(cap=cap, rate=rate)
    check_self_stake(state, book.status, book.own)
    pool = book.pool_at(rate)
    if pool is None:
        raise TooManyRates(MAX_POOLS)
    book.status = book.status._replace(default=pool)
    close_book(state, book)
    store_holding(state, holding)
    state.events.emit("CandidacyUpdated", owner, cap, rate)


def rotate_key(state: StakingState, owner: Address, key: bytes, proof: bytes, message: bytes) -> None:
    """Vote with another key from two blocks later on. The old one stays the candidate's for what it signed.

    Raises UnknownValidator, ValidatorTombstoned, ValidatorWithdrawn, BadConsensusKey, ConsensusKeyUsed, BadKeyProof.
    """
    candidate = state.find(owner)
    _check_not_over(status_of(state.storage, candidate))
    check_key(state.storage, key, proof, message)
    old = consensus_key_of(state.storage, candidate)
    retire_key(state.storage, old, state.height)
    enter_key(state.storage, key, candidate, state.height)
    state.storage.store(candidate_slot(candidate) + KEY, int.from_bytes(key))
    contenders.refresh(state, candidate)
    state.events.emit("ConsensusKeyRotated", owner, old, key)


def activate(state: StakingState, owner: Address) -> None:
    """Stand for election again.

    Raises UnknownValidator, ValidatorTombstoned, ValidatorWithdrawn, ValidatorJailed before the jail's end,
    AlreadyActive, SelfStakeTooLow.
    """
    candidate = state.find(owner)
    book, watch = open_book(state.storage, candidate), watch_of(state.storage, candidate)
    flags = book.status.flags
    _check_not_over(book.status)
    if flags & JAILED and state.time < watch.jailed_until:
        raise ValidatorJailed(watch.jailed_until)
    if flags & (ACTIVE | JAILED) == ACTIVE:
        raise AlreadyActive(True)  # noqa: FBT003  (the error's argument)
    check_self_stake(state, book.status, book.own)
    _free(state, candidate, flags, watch)
    state.events.emit("ActiveChanged", owner, True)  # noqa: FBT003


def deactivate(state: StakingState, owner: Address) -> None:
    """Stand for election no more, until `activate`. Raises UnknownValidator, ValidatorWithdrawn, AlreadyActive."""
    candidate = state.find(owner)
    status = status_of(state.storage, candidate)
    if status.flags & WITHDRAWN:
        raise ValidatorWithdrawn
    if not status.flags & ACTIVE:
        raise AlreadyActive(False)  # noqa: FBT003
    _set_flags(state, candidate, status.flags & ~ACTIVE)
    contenders.refresh(state, candidate)
    state.events.emit("ActiveChanged", owner, False)  # noqa: FBT003


def withdraw(state: StakingState, owner: Address) -> None:
    """End the candidacy for ever and let the owner's stake leave.

    Delegators keep theirs until they undelegate or redelegate. Raises UnknownValidator, ValidatorWithdrawn,
    TooManyExits.
    """
    candidate = state.find(owner)
    status = status_of(state.storage, candidate)
    if status.flags & WITHDRAWN:
        raise ValidatorWithdrawn
    _set_flags(state, candidate, status.flags & ~ACTIVE | WITHDRAWN)
    contenders.refresh(state, candidate)
    state.events.emit("CandidacyWithdrawn", owner)
    if open_book(state.storage, candidate).own:
        undelegate(state, owner, owner, ALL)


def offer_ownership(state: StakingState, owner: Address, to: Address) -> int:
    """Offer the candidacy with the owner's stake to another account, in place of an earlier offer; return its number.

    Raises UnknownValidator, NotAllowed for an account that could not own it, AlreadyValidator.
    """
    candidate = state.find(owner)
    _check_new_owner(state, candidate, to)
    storage = state.storage
    offer = storage.add(OFFER_COUNT, 1)
    slot = candidate_slot(candidate) + OFFER_OF
    earlier = storage.load(slot)
    if earlier:
        storage.store(mapping_slot(OFFERS, earlier), 0)
    storage.store(slot, offer)
    OFFER_WORD.store(storage, mapping_slot(OFFERS, offer), Offer(candidate, int.from_bytes(to)))
    state.events.emit("OwnershipOffered", owner, to, offer)
    return offer


def accept_ownership(state: StakingState, to: Address, number: int) -> Address:
    """Take over a candidacy and its owner's stake; return the old owner, to whom exits under way are still paid.

    Raises UnknownOffer, NotAllowed where the offer is another's or the account delegates to it, AlreadyValidator.
    """
    storage = state.storage
    offer = OFFER_WORD.load(storage, mapping_slot(OFFERS, number))
    if not offer.candidate:
        raise UnknownOffer(number)
    if as_address(offer.to) != to:
        raise NotAllowed
    candidate = offer.candidate
    _check_new_owner(state, candidate, to)
    identity = identity_of(storage, candidate)
    owner = as_address(identity.owner)
    storage.store(mapping_slot(OFFERS, number), 0)
    storage.store(candidate_slot(candidate) + OFFER_OF, 0)
    storage.store(mapping_slot(ID_OF, owner), 0)
    storage.store(mapping_slot(ID_OF, to), candidate)
    IDENTITY_WORD.store(storage, candidate_slot(candidate) + IDENTITY, identity._replace(owner=offer.to))
    _move_own_stake(state, candidate, owner, to)
    if status_of(storage, candidate).flags & SEATED:
        storage.store(REBUILD, 1)
    state.events.emit("OwnerChanged", owner, to)
    return owner


def set_verified(state: StakingState, caller: Address, validator: Address, *, verified: bool) -> None:
    """Mark a validator whose profile the foundation checked. Raises NotAllowed, UnknownValidator."""
    if caller != state.storage.load_address(FOUNDATION) or caller == ZERO_ADDRESS:
        raise NotAllowed
    candidate = state.find(validator)
    flags = status_of(state.storage, candidate).flags
    _set_flags(state, candidate, flags | VERIFIED if verified else flags & ~VERIFIED)
    state.events.emit("VerifiedChanged", validator, verified)


def _move_own_stake(state: StakingState, candidate: int, owner: Address, to: Address) -> None:
    holding, taken = load_holding(state.storage, owner, candidate), load_holding(state.storage, to, candidate)
    taken.position = holding.position._replace(mark=taken.position.mark)
    taken.past, taken.index, taken.arrived = holding.past, holding.index, holding.arrived
    taken.arrival = holding.arrival._replace(leaving=taken.arrival.leaving)
    holding.position = holding.position._replace(shares=0)
    store_holding(state, holding)
    store_holding(state, taken)


def _check_new_owner(state: StakingState, candidate: int, to: Address) -> None:
    if is_reserved(to) or load_holding(state.storage, to, candidate).shares:
        raise NotAllowed
    if candidate_of(state.storage, to):
        raise AlreadyValidator(to)


def _free(state: StakingState, candidate: int, flags: int, watch: Watch) -> None:
    _set_flags(state, candidate, flags & ~JAILED | ACTIVE)
    store_watch(state.storage, candidate, watch._replace(jailed_until=0))
    contenders.refresh(state, candidate)


def _set_flags(state: StakingState, candidate: int, flags: int) -> None:
    store_status(state.storage, candidate, status_of(state.storage, candidate)._replace(flags=flags))


def _check_not_over(status: Status) -> None:
    if status.flags & TOMBSTONED:
        raise ValidatorTombstoned
    if status.flags & WITHDRAWN:
        raise ValidatorWithdrawn


def _check_rate(rate: int) -> None:
    if not 1 <= rate <= MAX_RATE:
        raise BadCompRate(MAX_RATE, rate)


def _check_profile(profile: tuple[str, ...]) -> None:
    for text, (name, limit) in zip(profile, PROFILE_LIMITS.items(), strict=True):
        if len(text.encode()) > limit:
            raise TextTooLong(name, limit)


def _store_profile(storage: Storage, candidate: int, profile: tuple[str, ...]) -> None:
    for index, text in enumerate(profile):
        storage.store_text(candidate_slot(candidate) + PROFILE + index, text)
