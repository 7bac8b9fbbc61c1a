"""Where each word of staking lies in the storage of the staking contract, as docs/spec/storage-layout.md has it.

Everything is found by a candidate's number (its id, from 1 on) and an account's address. A candidate's owner may
change, so nothing but `ID_OF` is keyed by it. One struct is one group of words that change together: what a block
changes of every elected candidate is `AWARDS` alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from cybermiles.staking.records import AWARDS_WORD, IDENTITY_WORD, KEY_WORD, LEDGER_WORD, STATUS_WORD, WATCH_WORD
from cybermiles.state.slots import Array, ArrayView, mapping_slot
from cybermiles.types.primitives import Address

if TYPE_CHECKING:
    from cybermiles.staking.records import Awards, Identity, KeyUse, Ledger, Status, Watch
    from cybermiles.state.slots import ReadStorage, Storage

MAX_POOLS = 8
"""Different compensation rates of one validator that stake may be under, beside the owner's own stake."""

# Declared slots

LEDGER = 0
GENESIS = 1
BURNT = 2
FOUNDATION = 3
ID_OF = 4
KEYS = 5
CANDIDATES = 6
DELEGATIONS = 7
HELD = 8
EXITS = 9
QUEUE = 10
EXITS_OF = 11
ELECTED = 12
VALIDATOR_COUNT = 13
CONTENDERS = 14
OFFERS = 15
OFFER_COUNT = 16
REBUILD = 17
CANDIDATE_MARKS = 18
CANDIDATE_CHECKPOINTS = 19
DELEGATION_MARKS = 20
DELEGATION_CHECKPOINTS = 21
YEAR = 22

# Words of a candidate, from its first slot

STATUS = 0
AWARDS = 1
IDENTITY = 2
KEY = 3
WATCH = 4
POOLS = 5
SLASH_INDEX = POOLS + MAX_POOLS + 1
PROFILE = SLASH_INDEX + MAX_POOLS + 1
SLASHES = PROFILE + 5
DELEGATORS = SLASHES + 1
MISSED = DELEGATORS + 1
OFFER_OF = MISSED + 1
DUES = OFFER_OF + 1

# Words of a delegation

POSITION = 0
PAST = 1
INDEX = 2
ARRIVAL = 3
ARRIVED = 4

# Words of an exit and of a slash

EXIT_HEAD, EXIT_BODY, EXIT_ARRIVAL = 0, 1, 2
SLASH_HEAD, SLASH_AMOUNT, SLASH_EVIDENCE, SLASH_WORDS = 0, 1, 2, 3


@lru_cache(maxsize=4_096)
def candidate_slot(candidate: int) -> int:
    """Return the first slot of a candidate."""
    return mapping_slot(CANDIDATES, candidate)


@lru_cache(maxsize=4_096)
def key_slot(address: bytes) -> int:
    """Return the first slot of a consensus key, by its consensus address: the key, then `KeyUse`."""
    return mapping_slot(KEYS, address)


def delegation_slot(holder: Address, candidate: int) -> int:
    """Return the first slot of a delegation."""
    return mapping_slot(DELEGATIONS, holder, candidate)


def exit_slot(exit_id: int) -> int:
    """Return the first slot of an exit."""
    return mapping_slot(EXITS, exit_id)


def status_of(storage: ReadStorage, candidate: int) -> Status:
    """Return a candidate's status."""
    return STATUS_WORD.load(storage, candidate_slot(candidate) + STATUS)


def identity_of(storage: ReadStorage, candidate: int) -> Identity:
    """Return who a candidate is."""
    return IDENTITY_WORD.load(storage, candidate_slot(candidate) + IDENTITY)


def owner_of(storage: ReadStorage, candidate: int) -> Address:
    """Return a candidate's owner."""
    return as_address(identity_of(storage, candidate).owner)


def awards_of(storage: ReadStorage, candidate: int) -> Awards:
    """Return the awards of a candidate."""
    return AWARDS_WORD.load(storage, candidate_slot(candidate) + AWARDS)


def watch_of(storage: ReadStorage, candidate: int) -> Watch:
    """Return a candidate's presence and places."""
    return WATCH_WORD.load(storage, candidate_slot(candidate) + WATCH)


def store_watch(storage: Storage, candidate: int, watch: Watch) -> None:
    """Store a candidate's presence and places."""
    WATCH_WORD.store(storage, candidate_slot(candidate) + WATCH, watch)


def store_status(storage: Storage, candidate: int, status: Status) -> None:
    """Store a candidate's status."""
    STATUS_WORD.store(storage, candidate_slot(candidate) + STATUS, status)


def consensus_key_of(storage: ReadStorage, candidate: int) -> bytes:
    """Return the key that a candidate votes with."""
    return storage.load(candidate_slot(candidate) + KEY).to_bytes(32)


def key_use(storage: ReadStorage, address: bytes) -> KeyUse:
    """Return whose key has this consensus address; candidate 0 is nobody."""
    return KEY_WORD.load(storage, key_slot(address) + 1)


def candidate_of(storage: ReadStorage, owner: Address) -> int:
    """Return the candidate that an account owns, 0 where it owns none."""
    return storage.load(mapping_slot(ID_OF, owner))


def stake_of(storage: ReadStorage, candidate: int) -> int:
    """Return all stake with a candidate, awards credited included. Wei."""
    return status_of(storage, candidate).total + awards_of(storage, candidate).pending


def slashes_view(storage: ReadStorage, candidate: int) -> ArrayView:
    """Return a candidate's punishments, oldest first."""
    return ArrayView(storage, candidate_slot(candidate) + SLASHES, SLASH_WORDS)


def delegators_view(storage: ReadStorage, candidate: int) -> ArrayView:
    """Return the addresses of a candidate's delegators."""
    return ArrayView(storage, candidate_slot(candidate) + DELEGATORS)


def delegators_array(storage: Storage, candidate: int) -> Array:
    """Return the same list to change."""
    return Array(storage, candidate_slot(candidate) + DELEGATORS)


def held_view(storage: ReadStorage, holder: Address) -> ArrayView:
    """Return the ids of the candidates that an account delegates to."""
    return ArrayView(storage, mapping_slot(HELD, holder))


def held_array(storage: Storage, holder: Address) -> Array:
    """Return the same list to change."""
    return Array(storage, mapping_slot(HELD, holder))


def exits_view(storage: ReadStorage, holder: Address) -> ArrayView:
    """Return the ids of an account's unpaid exits."""
    return ArrayView(storage, mapping_slot(EXITS_OF, holder))


def exits_array(storage: Storage, holder: Address) -> Array:
    """Return the same list to change."""
    return Array(storage, mapping_slot(EXITS_OF, holder))


def ledger_of(storage: ReadStorage) -> Ledger:
    """Return the books' sums."""
    return LEDGER_WORD.load(storage, LEDGER)


def as_address(number: int) -> Address:
    """Return the address that a packed field holds."""
    return Address(number.to_bytes(20))
