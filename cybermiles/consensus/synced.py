"""Blocks that others decided, on their way from block sync to the one place where a height is decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from cybermiles.types.commit import Commit


@dataclass(frozen=True, slots=True)
class SyncedBlock:
    """A block, its commit, and who waits for it to be durable."""

    value: bytes
    commit: Commit
    done: asyncio.Future[None]

    def succeed(self) -> None:
        """The height is durable."""
        if not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        """The block was not used."""
        if not self.done.done():
            self.done.set_exception(error)


class SyncedBlocks:
    """What block sync handed in and waits for. Owned by the runner, but for `put`."""

    def __init__(self) -> None:
        self._new: list[SyncedBlock] = []
        self._waiting: list[SyncedBlock] = []
        self._is_closed = False

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits for a height."""
        return not self._new and not self._waiting

    def put(self, block: SyncedBlock) -> None:
        """Queue a block; cancel who waits for it where the node has stopped."""
        self._new.append(block)
        if self._is_closed:
            self.close()

    def take(self, height: int) -> list[SyncedBlock]:
        """Return the new blocks of the height being decided; fail those that are ahead of it."""
        taken = [block for block in self._new if block.commit.height == height]
        for block in self._new:
            if block.commit.height > height:
                block.fail(ValueError(f"block {block.commit.height} is synced while height {height} is undecided"))
        self._new = []
        self._waiting += taken
        return taken

    def failed(self, block: SyncedBlock, error: Exception) -> None:
        """Tell the supplier that a taken block was not used."""
        self._waiting.remove(block)
        block.fail(error)

    def committed(self, height: int) -> None:
        """Tell everybody whose height is durable now, by their block or another way."""
        for blocks in (self._new, self._waiting):
            for block in blocks:
                if block.commit.height <= height:
                    block.succeed()
            blocks[:] = [block for block in blocks if block.commit.height > height]

    def close(self) -> None:
        """Cancel who waits: the node stops."""
        self._is_closed = True
        for block in (*self._new, *self._waiting):
            block.done.cancel()
