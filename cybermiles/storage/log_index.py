"""Which blocks may contain logs that match a filter, from the blooms of their logs.

The blooms lie next to each other in the store and blocks without logs have none, so a search reads
only what could match. A bloom has no false negatives; whoever asks checks the logs of the
candidates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.storage.schema import BLOOM, at_height, height_in, height_range
from cybermiles.types.receipt import EMPTY_BLOOM, bloom_bits, logs_bloom

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cybermiles.state.kv import KeyValueReader
    from cybermiles.types.header import Header
    from cybermiles.types.primitives import Address, Hash32
    from cybermiles.types.receipt import Log


class LogIndex:
    """Read access to the blooms."""

    def __init__(self, store: KeyValueReader) -> None:
        self._store = store

    def candidates(
        self,
        first: int,
        last: int,
        *,
        addresses: Sequence[Address] = (),
        topics: Sequence[Sequence[Hash32] | None] = (),
    ) -> Iterator[int]:
        """Yield heights in [first, last], ascending, whose block may contain a matching log.

        A log matches when its address is one of `addresses` (any, if there are none) and each of
        its topics is one of the alternatives at that position (None or no alternatives: any).
        """
        choices = [[bloom_bits(element) for element in group] for group in (addresses, *topics) if group]
        for key, bloom in self._store.iterate(*height_range(BLOOM, first, last)):
            bits = int.from_bytes(bloom)
            if all(any(bits & mask == mask for mask in masks) for masks in choices):
                yield height_in(key)


def bloom_records(header: Header, system_logs: Sequence[Log]) -> dict[bytes, bytes]:
    """Return the entry that a block's logs add to its batch; none when the block has no logs.

    The header's bloom is of the receipts only, as Ethereum has it; what is looked up by covers the other events too.
    """
    bloom = header.logs_bloom
    if system_logs:
        bloom = (int.from_bytes(bloom) | int.from_bytes(logs_bloom(system_logs))).to_bytes(256)
    return {} if bloom == EMPTY_BLOOM else {at_height(BLOOM, header.height): bloom}
