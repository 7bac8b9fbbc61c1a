"""Where each word of the vesting contract lies: docs/spec/storage-layout.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cybermiles.state.slots import Array, ArrayView, Packed, mapping_slot

if TYPE_CHECKING:
    from cybermiles.state.slots import ReadStorage, Storage
    from cybermiles.types.primitives import Address

# Declared slots

GRANTS = 0
GRANT_OF = 1
HOLDER_OF_ACCOUNT = 2
PRINCIPALS = 3
EXITING = 4

# Words of a grant

TERMS, PAID, STAKE, LABEL, GRANT_WORDS = 0, 1, 2, 3, 4


class Terms(NamedTuple):
    """Whose grant, and when it is released."""

    holder: int
    start: int
    end: int
    """Seconds since 1970, after the start."""


class Paid(NamedTuple):
    """How much of it was released."""

    total: int
    """Wei granted at genesis."""
    released: int
    """Wei paid to the holder."""


class Stake(NamedTuple):
    """How much of it is not in the contract's balance, and is not the holder's either."""

    staked: int
    """Wei with validators, or on the way back."""
    lost: int
    """Wei that slashes took."""


TERMS_WORD = Packed(Terms, holder=160, start=48, end=48)
PAID_WORD = Packed(Paid, total=96, released=96)
STAKE_WORD = Packed(Stake, staked=96, lost=96)


def grants_view(storage: ReadStorage) -> ArrayView:
    """Return all grants, in the genesis document's order."""
    return ArrayView(storage, GRANTS, GRANT_WORDS)


def grants_array(storage: Storage) -> Array:
    """Return the same list to add to."""
    return Array(storage, GRANTS, GRANT_WORDS)


def grant_slot(storage: ReadStorage, holder: Address) -> int | None:
    """Return the first slot of a holder's grant."""
    number = storage.load(mapping_slot(GRANT_OF, holder))
    return grants_view(storage).slot_of(number - 1) if number else None


def principal_slot(holder: Address, candidate: int) -> int:
    """Return the slot of what a grant has staked with a candidate. Wei."""
    return mapping_slot(PRINCIPALS, holder, candidate)


def exiting_slot(exit_id: int) -> int:
    """Return the slot of how much of an exit is the grant's. Wei."""
    return mapping_slot(EXITING, exit_id)
