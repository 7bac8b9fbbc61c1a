"""Staking as its readers see it: the structs of the ABIs, at any height, with all awards shared out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cybermiles.staking.book import OWN, Book, open_book
from cybermiles.staking.election import role_of, seats_of
from cybermiles.staking.exits import exit_body, exit_head, exits_of
from cybermiles.staking.holdings import Holding, load_holding, owed_shares, slashed_of
from cybermiles.staking.layout import (
    PROFILE,
    SLASH_AMOUNT,
    SLASH_EVIDENCE,
    SLASH_HEAD,
    awards_of,
    candidate_slot,
    consensus_key_of,
    delegators_view,
    held_view,
    identity_of,
    ledger_of,
    owner_of,
    slashes_view,
    status_of,
    watch_of,
)
from cybermiles.staking.records import ACTIVE, JAILED, SEATED, SLASH_WORD, TOMBSTONED, VERIFIED
from cybermiles.staking.signing import last_signed

if TYPE_CHECKING:
    from cybermiles.staking.roles import Role
    from cybermiles.state.slots import ReadStorage
    from cybermiles.types.primitives import Address


class ProfileView(NamedTuple):
    """`ICmtStaking.Profile`."""

    name: str
    website: str
    location: str
    email: str
    about: str


class ValidatorView(NamedTuple):
    """`ICmtStaking.ValidatorView`."""

    owner: Address
    consensus_key: bytes
    role: Role
    rank: int
    voting_power: int
    stake: int
    self_stake: int
    stake_cap: int
    comp_rate_ppm: int
    delegators: int
    active: bool
    verified: bool
    since_block: int
    jailed_until: int
    tombstoned: bool


class DelegationView(NamedTuple):
    """`ICmtStaking.DelegationView`."""

    validator: Address
    principal: int
    awards: int
    slashed: int
    leaving: int
    comp_rate_ppm: int
    since_block: int


class ExitView(NamedTuple):
    """`ICmtStaking.ExitView`."""

    id: int
    validator: Address
    amount: int
    """Before slashes that are taken when it is paid."""
    release_time: int


class SigningView(NamedTuple):
    """`ICmtSlashing.SigningView`."""

    last_signed: int
    missed_in_window: int
    window: int
    limit: int
    jailed_until: int
    tombstoned: bool


class SlashView(NamedTuple):
    """`ICmtSlashing.SlashView`."""

    block_number: int
    fault: int
    ratio_ppm: int
    amount: int
    evidence: bytes


def validator_view(storage: ReadStorage, candidate: int) -> ValidatorView:
    """Return a candidate as it stands."""
    book, identity = open_book(storage, candidate), identity_of(storage, candidate)
    flags = book.status.flags
    role, rank, power = role_of(storage, candidate)
    return ValidatorView(
        owner=owner_of(storage, candidate),
        consensus_key=consensus_key_of(storage, candidate),
        role=role,
        rank=rank,
        voting_power=power,
        stake=book.stake,
        self_stake=book.own,
        stake_cap=book.status.cap,
        comp_rate_ppm=book.status.rate,
        delegators=identity.delegators,
        active=bool(flags & ACTIVE),
        verified=bool(flags & VERIFIED),
        since_block=identity.since,
        jailed_until=watch_of(storage, candidate).jailed_until if flags & JAILED else 0,
        tombstoned=bool(flags & TOMBSTONED),
    )


def profile_view(storage: ReadStorage, candidate: int) -> ProfileView:
    """Return a candidate's texts."""
    first = candidate_slot(candidate) + PROFILE
    return ProfileView(*[storage.load_text(first + index) for index in range(len(ProfileView._fields))])


def candidate_count(storage: ReadStorage) -> int:
    """Return how many candidacies were ever declared; their ids are 1 to this."""
    return ledger_of(storage).candidates


def worth(storage: ReadStorage, holding: Holding, book: Book) -> int:
    """Return what a delegation is worth now, less what it owes for faults of where it came from. Wei."""
    owed = owed_shares(storage, holding)[0] if holding.arrival.source else 0
    return holding.value(book) - book.value(holding.pool, owed)


def delegation_view(storage: ReadStorage, holder: Address, candidate: int) -> DelegationView:
    """Return a delegation; all 0 where there is none and nothing is leaving."""
    holding = load_holding(storage, holder, candidate)
    book = open_book(storage, candidate)
    slashed = slashed_of(storage, holding)
    value = worth(storage, holding, book)
    slashed += holding.value(book) - value
    rate = book.pools[holding.pool].rate if holding.shares and holding.pool != OWN else 0
    return DelegationView(
        validator=owner_of(storage, candidate),
        principal=holding.past.principal,
        awards=max(0, value + slashed - holding.past.principal),
        slashed=slashed,
        leaving=holding.arrival.leaving,
        comp_rate_ppm=rate,
        since_block=holding.past.since,
    )


def delegations_page(storage: ReadStorage, holder: Address, offset: int, limit: int) -> list[int]:
    """Return the candidates of a page of an account's delegations."""
    held = held_view(storage, holder)
    return [storage.load(held.slot_of(index)) for index in held.page(offset, limit)]


def delegators_page(storage: ReadStorage, candidate: int, offset: int, limit: int) -> list[Address]:
    """Return a page of a candidate's delegators."""
    delegators = delegators_view(storage, candidate)
    return [storage.load_address(delegators.slot_of(index)) for index in delegators.page(offset, limit)]


def exits_page(storage: ReadStorage, holder: Address, offset: int, limit: int) -> list[ExitView]:
    """Return a page of an account's unpaid exits."""
    views = []
    for exit_id in exits_of(storage, holder)[offset : offset + limit]:
        body = exit_body(storage, exit_id)
        views.append(
            ExitView(exit_id, owner_of(storage, body.candidate), exit_head(storage, exit_id).amount, body.release)
        )
    return views


def awards_paid(storage: ReadStorage, height: int) -> list[tuple[Address, int]]:
    """Return who was paid how much at a height, in order of rank: of the elected, whose last award it is.

    The awards of a block are read from the state that it left.
    """
    paid = []
    for seat in seats_of(storage):
        awards = awards_of(storage, seat.candidate)
        if awards.last and awards.height == height:
            paid.append((owner_of(storage, seat.candidate), awards.last))
    return paid


def signing_view(storage: ReadStorage, candidate: int, *, height: int, limit: int, window: int) -> SigningView:
    """Return a candidate's presence as the state after `height` knows it."""
    watch, flags = watch_of(storage, candidate), status_of(storage, candidate).flags
    newest = height - 1 if flags & SEATED else watch.left - 1
    return SigningView(
        last_signed=max(0, last_signed(storage, candidate, watch, newest)),
        missed_in_window=watch.missed,
        window=window,
        limit=limit,
        jailed_until=watch.jailed_until if flags & JAILED else 0,
        tombstoned=bool(flags & TOMBSTONED),
    )


def slash_view(storage: ReadStorage, candidate: int, index: int) -> SlashView:
    """Return a punishment; the caller keeps `index` below their number."""
    slot = slashes_view(storage, candidate).slot_of(index)
    slash = SLASH_WORD.load(storage, slot + SLASH_HEAD)
    return SlashView(
        block_number=slash.height,
        fault=slash.fault,
        ratio_ppm=slash.ratio,
        amount=storage.load(slot + SLASH_AMOUNT),
        evidence=storage.load(slot + SLASH_EVIDENCE).to_bytes(32),
    )
