"""What a block pays, and to whom.

    pot = mint of the block + its fees + what earlier blocks could not divide
    V = floor(pot · ratio)              to the validators that signed the parent
    B = floor(pot · (1 - ratio))        to the backups that did; where none did, or no validator, the others get all
    one member: floor(V · power / powers of its group)

Power and role are those of the parent's height. Whoever is tombstoned or has no stake any more is left out. Every
remainder stays in the pot, which is what the contract has and owes nobody: paid = minted + fees - what stays, to the
wei, for ever. Source: docs/spec/awards.md; travis modules/stake/award_distributor.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.staking import contenders
from cybermiles.staking.book import close_book, open_book
from cybermiles.staking.layout import AWARDS, ELECTED, candidate_slot, key_use, status_of
from cybermiles.staking.records import AWARDS_WORD, SEAT_WORD, SEATED, TOMBSTONED
from cybermiles.state.slots import ArrayView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.chain.params import ChainParams
    from cybermiles.staking.state import StakingState

Signer = tuple[int, int]
"""(candidate, power) of who signed."""


def pay_awards(state: StakingState, signed: Sequence[tuple[bytes, int, bool]]) -> int:
    """Credit the pot to the signers of the parent; return the wei paid.

    `signed` is the parent's set in its order: (consensus address, power, whether it signed).
    """
    validators: list[Signer] = []
    backups: list[Signer] = []
    for index, (address, power, present) in enumerate(signed):
        candidate = key_use(state.storage, address).candidate if present else 0
        if candidate and _may_earn(state, candidate):
            (validators if index < state.params.max_vals else backups).append((candidate, power))
    paid = 0
    for candidate, amount in shares_of(state.pot, validators, backups, state.params):
        _credit(state, candidate, amount)
        paid += amount
    if paid:
        state.owe(paid)
    return paid


def shares_of(
    pot: int, validators: Sequence[Signer], backups: Sequence[Signer], params: ChainParams
) -> list[tuple[int, int]]:
    """Return (candidate, wei) of each signer. The sum is at most the pot."""
    ratio = params.validators_block_award_ratio
    if not validators or not backups:
        return _divide(pot, [*validators, *backups])
    first = pot * ratio.numerator // ratio.denominator
    second = pot * (ratio.denominator - ratio.numerator) // ratio.denominator
    return _divide(first, validators) + _divide(second, backups)


def share_out_one(state: StakingState) -> None:
    """Share out the pending awards of one member, each in turn, so that stake compounds without being touched."""
    seats = ArrayView(state.storage, ELECTED)
    if not len(seats):
        return
    seat = SEAT_WORD.load(state.storage, seats.slot_of(state.height % len(seats)))
    book = open_book(state.storage, seat.candidate)
    book.compound()
    close_book(state, book)


def _divide(amount: int, signers: Sequence[Signer]) -> list[tuple[int, int]]:
    total = sum(power for _, power in signers)
    return [(candidate, amount * power // total) for candidate, power in signers]


def _may_earn(state: StakingState, candidate: int) -> bool:
    status = status_of(state.storage, candidate)
    return status.total > 0 and not status.flags & TOMBSTONED


def _credit(state: StakingState, candidate: int, amount: int) -> None:
    slot = candidate_slot(candidate) + AWARDS
    awards = AWARDS_WORD.load(state.storage, slot)
    AWARDS_WORD.store(
        state.storage,
        slot,
        awards._replace(pending=awards.pending + amount, last=amount, height=state.height),
    )
    if not status_of(state.storage, candidate).flags & SEATED:
        contenders.refresh(state, candidate)
