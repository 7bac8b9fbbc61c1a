"""Makes a snapshot every so many blocks while the chain goes on, and serves snapshots and light blocks to peers.

    block committed ─► frozen view of the store ─► thread: export, chunk by chunk, half of the time ─► shelf

The view costs nothing to take and stands still, so nothing waits for the export and pruning does not disturb it.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, NoReturn

from cybermiles.application.governed import EffectiveParams
from cybermiles.errors import ConfigError, CybermilesError, StorageError
from cybermiles.runtime.logging import get_logger
from cybermiles.snapshots.export import Export
from cybermiles.sync.snapshot_offers import MAX_OFFERS, Offer, Wanted, encode_offers
from cybermiles.types import rlp
from cybermiles.types.block import decode_outline
from cybermiles.types.light_block import LightBlock

if TYPE_CHECKING:
    from cybermiles.chain.params import ChainParams
    from cybermiles.execution.outcome import BlockOutcome
    from cybermiles.runtime.clock import Clock
    from cybermiles.runtime.executor import Worker
    from cybermiles.snapshots.format import Manifest
    from cybermiles.snapshots.shelf import Shelf
    from cybermiles.storage.database import Database
    from cybermiles.storage.leveldb import FrozenView, LevelDB
    from cybermiles.types.block import Block

log = get_logger("snapshots")


class _Stopped(CybermilesError):
    """The node stops; the unfinished snapshot goes."""


class Snapshots:
    """`CommitListener` and the reactor's `SnapshotSource`. `run` belongs to a supervised task."""

    def __init__(  # noqa: PLR0913  (everything by name)
        self,
        *,
        store: LevelDB,
        database: Database,
        params: ChainParams,
        shelf: Shelf,
        worker: Worker,
        clock: Clock,
        interval: int,
        kept: int,
    ) -> None:
        """`interval` in blocks, 0 makes none; `params` are the genesis document's."""
        self._store = store
        self._database = database
        self._params = EffectiveParams(params)
        self._shelf = shelf
        self._worker = worker
        self._clock = clock
        self._interval = interval
        self._kept = kept
        self._view: tuple[FrozenView, ChainParams] | None = None
        self._due = asyncio.Event()
        self._stop = threading.Event()
        self._manifests: tuple[Manifest, ...] = ()

    def block_committed(self, block: Block, outcome: BlockOutcome) -> None:  # noqa: ARG002  (only the height matters)
        """Take a view when a snapshot is due, unless one is being made."""
        if self._interval and block.height % self._interval == 0 and self._view is None:
            self._view = self._store.frozen(), self._params.at(self._database.state)
            self._due.set()

    async def run(self) -> NoReturn:
        """Make what is due until cancelled. Raises what is a bug; a full disk or missing history is logged."""
        self._manifests = await self._worker.run(self._shelf.list)
        try:
            while True:
                await self._due.wait()
                self._due.clear()
                if self._view is not None:
                    await self._make(*self._view)
                    self._view = None
        finally:
            self._stop.set()

    async def load(self, what: Wanted, height: int, index: int) -> bytes:
        """See `SnapshotSource`."""
        if what is Wanted.OFFERS:
            return encode_offers(Offer(m.height, m.id) for m in self._manifests[:MAX_OFFERS])
        if what is Wanted.LIGHT_BLOCK:
            return await self._worker.run(self._light_block, height)
        manifest = next((m for m in self._manifests if m.height == height), None)
        if manifest is None:
            return b""
        if what is Wanted.MANIFEST:
            return manifest.encode()
        return await self._worker.run(self._shelf.chunk, height, index) or b""

    async def _make(self, view: FrozenView, params: ChainParams) -> None:
        began = self._clock.monotonic()
        try:
            manifest = await self._worker.run(self._create, view, params)
        except (ConfigError, StorageError) as error:
            log.warning("snapshot_failed", error=str(error))
            return
        self._manifests = await self._worker.run(self._shelf.list)
        log.info(
            "snapshot_made",
            height=manifest.height,
            chunks=len(manifest.chunks),
            seconds=round(self._clock.monotonic() - began, 1),
        )

    def _create(self, view: FrozenView, params: ChainParams) -> Manifest:
        """Export in the worker; rests as long as it works, so that blocks are executed meanwhile."""
        last = self._clock.monotonic()

        def between() -> None:
            nonlocal last
            if self._stop.is_set():
                raise _Stopped("the node stops")
            self._stop.wait(self._clock.monotonic() - last)
            last = self._clock.monotonic()

        try:
            manifest = self._shelf.create(Export(view, params), between)
        finally:
            view.close()
        self._shelf.keep(self._kept)
        return manifest

    def _light_block(self, height: int) -> bytes:
        database = self._database
        raw, commit = database.blocks.raw_block(height), database.blocks.commit(height)
        members, following = database.validators.validators(height), database.validators.validators(height + 1)
        if raw is None or commit is None or members is None or following is None:
            return b""
        header, consensus = decode_outline(raw)
        block = LightBlock(
            header=header, digest=consensus.digest, commit=commit, validators=members, next_validators=following
        )
        return rlp.encode(block.to_item())
