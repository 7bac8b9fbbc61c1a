"""Who decides which height, and who proposes there.

A block at H settles the height H + 2, so at head H the rotations of H + 1 and H + 2 are known. Rotations
of the last heights are kept, for the next heights and for undoing a block; the sets themselves are kept for
ever, one entry where they change, because evidence and commits of old heights are verified with them.

    block H committed ─► p ‖ H+2 (rotation), and v ‖ H+2 where its set is another than that of H+1
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.errors import DecodingError, StorageError
from cybermiles.storage.cache import AgingCache
from cybermiles.storage.schema import ROTATION, VALIDATORS, at_height, height_in, height_range
from cybermiles.types import rlp
from cybermiles.types.rotation import decode_rotation
from cybermiles.types.validator import decode_validator_set

if TYPE_CHECKING:
    from cybermiles.state.kv import KeyValueReader
    from cybermiles.types.rotation import Rotation
    from cybermiles.types.validator import ValidatorSet

AHEAD = 2
"""Heights that are settled beyond the head."""
KEPT_ROTATIONS = 16
"""Rotations kept up to the newest: as many blocks less two can be undone, and each is some kilobytes."""
CACHED_HEIGHTS = 128
_HIGHEST = 2**64 - 2


class ValidatorStore:
    """Read access to sets and rotations by height."""

    def __init__(self, store: KeyValueReader) -> None:
        self._store = store
        self._sets: AgingCache[int, ValidatorSet] = AgingCache(CACHED_HEIGHTS // 2)
        self._rotations: AgingCache[int, Rotation] = AgingCache(KEPT_ROTATIONS)
        self._newest = self._load_newest()

    @property
    def newest(self) -> int:
        """The highest settled height, 0 in an empty store."""
        return self._newest

    def rotation(self, height: int) -> Rotation:
        """Return the rotation of a height near the head.

        Raises StorageError where it is not stored: not settled yet, long past, or the store is damaged.
        """
        rotation = self._rotations.get(height, None)
        if rotation is None:
            value = self._store.get(at_height(ROTATION, height))
            if value is None:
                raise StorageError(f"the rotation of height {height} is not stored; the newest is of {self._newest}")
            try:
                rotation = decode_rotation(rlp.decode(value))
            except DecodingError as error:
                raise StorageError(f"the rotation of height {height}: {error}: the store is damaged") from error
            self._rotations.put(height, rotation)
        return rotation

    def validators(self, height: int) -> ValidatorSet | None:
        """Return who decides a height, None before 1 and above the newest settled height."""
        if not 1 <= height <= self._newest:
            return None
        found = self._sets.get(height, None)
        if found is None:
            found = self._load(height)
            self._sets.put(height, found)
        return found

    def remember(self, following: Rotation, height: int) -> None:
        """Take over the rotation that a block just settled."""
        self._rotations.put(height, following)
        self._newest = height

    def follow(self, head: int) -> None:
        """Know that another process committed blocks up to this height."""
        self._newest = head + AHEAD

    def _load(self, height: int) -> ValidatorSet:
        for _, value in self._store.iterate(*height_range(VALIDATORS, 1, height), reverse=True):
            try:
                return decode_validator_set(rlp.decode(value))
            except DecodingError as error:
                raise StorageError(f"the validators of height {height}: {error}: the store is damaged") from error
        raise StorageError(f"the validators of height {height} are not stored: the store is damaged")

    def _load_newest(self) -> int:
        newest = self._store.iterate(*height_range(ROTATION, 0, _HIGHEST), reverse=True)
        return next((height_in(key) for key, _ in newest), 0)


def first_rotation_records(first: Rotation) -> dict[bytes, bytes]:
    """Return the entries of a new chain: heights 1 and 2."""
    return {
        at_height(VALIDATORS, 1): rlp.encode(first.validators.to_item()),
        at_height(ROTATION, 1): rlp.encode(first.to_item()),
        at_height(ROTATION, 2): rlp.encode(first.following(None).to_item()),
    }


def rotation_records(
    height: int, current: Rotation, following: Rotation, *, kept: int = KEPT_ROTATIONS
) -> dict[bytes, bytes | None]:
    """Return the entries that settle `height` with the rotation `following` after `current`; `kept` 0 keeps all."""
    records: dict[bytes, bytes | None] = {
        at_height(ROTATION, height): rlp.encode(following.to_item()),
    }
    if kept and height > kept:
        records[at_height(ROTATION, height - kept)] = None
    if following.validators != current.validators:
        records[at_height(VALIDATORS, height)] = rlp.encode(following.validators.to_item())
    return records
