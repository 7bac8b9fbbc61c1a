"""The address book's file: replaced as a whole, read once. A damaged one is set aside and is no reason to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.errors import DecodingError
from cybermiles.p2p.address_book import MAX_ANCHORS, AddressBook
from cybermiles.runtime.files import write_durably
from cybermiles.runtime.logging import get_logger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cybermiles.p2p.config import P2PConfig
    from cybermiles.p2p.identity import NodeId, PeerAddress
    from cybermiles.runtime.executor import Worker
    from cybermiles.runtime.randomness import Randomness

log = get_logger("p2p")


class BookFile:
    """Where an `AddressBook` outlives the process."""

    def __init__(self, path: Path, worker: Worker) -> None:
        """`worker` is the thread that waits for the disk."""
        self._path = path
        self._worker = worker

    def load(self, book: AddressBook) -> None:
        """Fill an empty book; where there is no usable file it stays empty and the seeds fill it."""
        if not self._path.exists():
            return
        try:
            book.load_json(self._path.read_bytes())
        except DecodingError as error:
            aside = self._path.with_name(f"{self._path.name}.damaged")
            self._path.replace(aside)
            log.warning("address_book_damaged", moved_to=str(aside), error=str(error))

    async def save(self, book: AddressBook, good: Sequence[PeerAddress]) -> None:
        """Write the book; of the `good` outbound peers, longest connected first, some become the anchors."""
        book.anchors = tuple(good[:MAX_ANCHORS])
        try:
            await self._worker.run(write_durably, self._path, book.to_json())
        except OSError as error:
            log.warning("address_book_not_saved", path=str(self._path), error=str(error))


def new_book(config: P2PConfig, own_id: NodeId, randomness: Randomness) -> AddressBook:
    """Return an empty book that keeps neither the node's own address nor private ones, with a secret of its own."""
    return AddressBook(
        secret=bytes(randomness.below(256) for _ in range(32)),
        below=randomness.below,
        never=(own_id, *config.private_ids),
        allow_private=config.allow_private_addresses,
    )
