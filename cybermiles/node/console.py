"""Prints what contracts say with `console.log`, on a chain for development: once, when the block is committed.

Blocks are executed again for it, where jobs run, so that the chain's own execution knows nothing of it; and only blocks
after code was seen that contains the console's address. A call (`eth_call`, `eth_estimateGas`) prints nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.errors import CybermilesError
from cybermiles.runtime.logging import get_logger
from cybermiles.storage.schema import CODE
from cybermiles.types.events import BlockCommitted
from cybermiles.vm.console import MARK, ConsoleRecorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable
    from typing import NoReturn

    from cybermiles.rpc.jobs import JobSource
    from cybermiles.rpc.ports import Executor
    from cybermiles.storage.leveldb import LevelDB
    from cybermiles.types.events import Event

log = get_logger("console")


@dataclass(frozen=True, slots=True)
class BlockConsole:
    """`rpc.jobs.Job`: what the transactions of a block said, (hash, lines) of those that said anything."""

    height: int

    def run(self, source: JobSource) -> list[tuple[bytes, list[str]]]:
        """Execute the block again."""
        recorders: list[ConsoleRecorder] = []

        def recorder(_index: int) -> ConsoleRecorder:
            recorders.append(ConsoleRecorder())
            return recorders[-1]

        for _ in source.replay(self.height).trace(recorder):
            pass
        block = source.block(self.height)
        hashes = () if block is None else (transaction.hash for transaction in block.transactions)
        said = zip(hashes, recorders, strict=True)
        return [(tx_hash, recorder.lines) for tx_hash, recorder in said if recorder.lines]


async def print_console(store: LevelDB, executor: Executor, subscribe: Callable[[], AsyncIterable[Event]]) -> NoReturn:
    """Print what the blocks to come say, until cancelled. What comes while it is too far behind is not printed.

    Whoever calls the console has its address in the code; code comes to the chain in some transaction's data.
    """
    is_used = any(MARK in code for _, code in store.iterate(CODE, bytes((CODE[0] + 1,))))
    while True:
        async for event in subscribe():
            if isinstance(event, BlockCommitted) and event.block.transactions:
                is_used = is_used or any(MARK in transaction.data for transaction in event.block.transactions)
                if is_used:
                    await _print(executor, event.block.height)


async def _print(executor: Executor, height: int) -> None:
    try:
        said = await executor.run(BlockConsole(height))
    except CybermilesError as error:
        log.warning("console_unread", height=height, reason=str(error))
        return
    for tx_hash, lines in said:
        for line in lines:
            log.info("console.log", text=line, tx="0x" + tx_hash.hex())
