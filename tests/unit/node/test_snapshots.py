"""Snapshots beside a chain that goes on: when one is made, of which block, and what is served."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from cybermiles.node.snapshots import Snapshots
from cybermiles.runtime.clock import SystemClock
from cybermiles.runtime.executor import Worker
from cybermiles.snapshots.format import decode_manifest
from cybermiles.snapshots.rebuild import rebuild
from cybermiles.snapshots.shelf import Shelf
from cybermiles.storage.leveldb import LevelDB
from cybermiles.sync.snapshot_offers import Offer, Wanted, decode_offers
from cybermiles.types.light_block import decode_light_block
from tests.fakes.snapshots import StoredChain


class Service:
    """The service over a chain on disk."""

    def __init__(self, store, directory, worker, *, interval, kept=2):
        self.chain = StoredChain(store)
        self.shelf = Shelf(directory)
        self.snapshots = Snapshots(
            store=store,
            database=self.chain.database,
            params=self.chain.document.params,
            shelf=self.shelf,
            worker=worker,
            clock=SystemClock(),
            interval=interval,
            kept=kept,
        )

    async def advance(self):
        block = self.chain.advance()
        self.snapshots.block_committed(block, None)
        await asyncio.sleep(0)

    async def offers(self):
        return decode_offers(await self.snapshots.load(Wanted.OFFERS, 0, 0))

    async def made(self, height):
        """Wait until the snapshot of a height is offered."""
        while height not in [offer.height for offer in await self.offers()]:
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(tmp_path, **settings):
    worker = Worker("test", 2)
    with LevelDB(tmp_path / "source") as store:
        service = Service(store, tmp_path / "snapshots", worker, **settings)
        task = asyncio.ensure_future(service.snapshots.run())
        try:
            yield service
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            worker.close()


def test_a_snapshot_is_of_its_block_though_the_chain_has_gone_on(tmp_path):
    async def scenario():
        async with running(tmp_path, interval=3) as service:
            for _ in range(5):  # nothing is exported before the loop is given a chance: the view is what matters
                block = service.chain.advance()
                service.snapshots.block_committed(block, None)
            await service.made(3)
            (offer,) = await service.offers()
            manifest = decode_manifest(await service.snapshots.load(Wanted.MANIFEST, 3, 0))
            assert Offer(3, manifest.id) == offer
            assert manifest.block_hash == service.chain.blocks[3][0].hash
            head = rebuild(service.shelf, manifest, service.chain.proof(3), tmp_path / "chain")
            assert head.state_root == service.chain.blocks[3][0].header.state_root
            chunk = await service.snapshots.load(Wanted.CHUNK, 3, 0)
            assert chunk == service.shelf.chunk(3, 0)

    asyncio.run(scenario())


def test_the_newest_are_kept(tmp_path):
    async def scenario():
        async with running(tmp_path, interval=2, kept=2) as service:
            for height in range(1, 7):
                await service.advance()
                if height % 2 == 0:
                    await service.made(height)
            assert [offer.height for offer in await service.offers()] == [6, 4]
            assert await service.snapshots.load(Wanted.MANIFEST, 2, 0) == b""
            assert await service.snapshots.load(Wanted.CHUNK, 2, 0) == b""

    asyncio.run(scenario())


def test_no_interval_makes_none(tmp_path):
    async def scenario():
        async with running(tmp_path, interval=0) as service:
            for _ in range(4):
                await service.advance()
            await asyncio.sleep(0)
            assert await service.offers() == ()
            assert service.shelf.list() == ()

    asyncio.run(scenario())


def test_snapshots_of_an_earlier_run_are_offered(tmp_path):
    async def scenario():
        async with running(tmp_path, interval=2) as service:
            await service.advance()
            await service.advance()
            await service.made(2)
            later = Snapshots(
                store=None,
                database=None,
                params=service.chain.document.params,
                shelf=service.shelf,
                worker=Worker("later"),
                clock=SystemClock(),
                interval=0,
                kept=2,
            )
            task = asyncio.ensure_future(later.run())
            while not decode_offers(await later.load(Wanted.OFFERS, 0, 0)):
                await asyncio.sleep(0.01)
            task.cancel()

    asyncio.run(scenario())


@pytest.mark.parametrize("height", [1, 2])
def test_light_blocks_are_those_of_the_chain(tmp_path, height):
    async def scenario():
        async with running(tmp_path, interval=0) as service:
            await service.advance()
            await service.advance()
            raw = await service.snapshots.load(Wanted.LIGHT_BLOCK, height, 0)
            assert decode_light_block(raw) == service.chain.light_block(height)
            assert await service.snapshots.load(Wanted.LIGHT_BLOCK, 0, 0) == b""
            assert await service.snapshots.load(Wanted.LIGHT_BLOCK, 3, 0) == b""

    asyncio.run(scenario())


def test_a_full_disk_costs_the_snapshot_and_not_the_node(tmp_path):
    async def scenario():
        async with running(tmp_path, interval=1) as service:
            (tmp_path / "snapshots").write_text("no directory")
            await service.advance()
            while service.snapshots._view is not None:
                await asyncio.sleep(0.01)
            assert await service.offers() == ()
            (tmp_path / "snapshots").unlink()
            await service.advance()
            await service.made(2)

    asyncio.run(scenario())
