"""Contract code by hash, never deleted: equal code is stored once and any root may refer to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import StorageError
from cybermiles.storage.cache import AgingCache
from cybermiles.storage.schema import CODE
from cybermiles.types.primitives import EMPTY_CODE_HASH, Hash32

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cybermiles.state.kv import KeyValueReader

CACHE_BYTES = 32 << 20


class CodeStore:
    """`CodeReader` over the key-value store; hashes what it loads."""

    def __init__(self, store: KeyValueReader) -> None:
        self._store = store
        self._cache: AgingCache[Hash32, bytes] = AgingCache(CACHE_BYTES // 2)

    def code(self, code_hash: Hash32) -> bytes:
        """Return the code. Raises StorageError when it is missing or has wrong bytes."""
        if code_hash == EMPTY_CODE_HASH:
            return b""
        code = self._cache.get(code_hash, None)
        if code is None:
            code = self._store.get(CODE + code_hash)
            if code is None or keccak256(code) != code_hash:
                what = "is missing" if code is None else "has wrong bytes"
                raise StorageError(
                    f"code {code_hash.hex()} {what}: the store is damaged; restore it from a "
                    "snapshot or sync into a new directory"
                )
            self._cache.put(code_hash, code, len(code))
        return code


def code_records(codes: Mapping[Hash32, bytes]) -> dict[bytes, bytes]:
    """Return the entries that new code adds to a block's batch."""
    return {CODE + code_hash: code for code_hash, code in codes.items()}
