"""Gets a state from peers: prove a block, collect the chunks of its snapshot, restore them.

    trust (checkpoint, or block 0) ──bisection──► light block H + 1 ──► block H's hash ──► manifest ──► chunks ──► store

No peer is believed: who sends a wrong light block, manifest or chunk is banned and another one is asked. Chunks that
are on the disk are not asked for again. What cannot go on without the operator ends in a ConfigError that says why.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import ConfigError, DecodingError, ProtocolViolation
from cybermiles.runtime.logging import get_logger
from cybermiles.snapshots.format import decode_manifest
from cybermiles.sync.light_client import (
    Bisection,
    Divergence,
    InvalidLightBlock,
    Trusted,
    TrustExpired,
    check_checkpoint,
)
from cybermiles.sync.snapshot_offers import Offer, Wanted, decode_offers
from cybermiles.types.light_block import decode_light_block

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from cybermiles.runtime.clock import Clock
    from cybermiles.runtime.executor import Worker
    from cybermiles.snapshots.format import Manifest
    from cybermiles.snapshots.shelf import Shelf
    from cybermiles.storage.chain_store import Head
    from cybermiles.sync.light_client import LightClientOptions
    from cybermiles.types.commit import Commit
    from cybermiles.types.light_block import LightBlock
    from cybermiles.types.primitives import Hash32

log = get_logger("sync")

PER_PEER = 2
"""Chunks that one peer is asked for at once."""
RETRY_SECONDS = 1
DISCOVERY_SECONDS = 3
"""From the first peer on, before anything is concluded from who is there."""


class SnapshotPeers(Protocol):
    """Who can be asked."""

    @property
    def peers(self) -> tuple[str, ...]:
        """Connected peers."""
        ...

    async def ask(self, peer: str, what: Wanted, height: int, index: int = 0) -> bytes | None:
        """Return the answer, b"" where the peer does not have it; None where it is gone or silent."""
        ...

    def ban(self, peer: str, reason: str) -> None:
        """End the connection to a liar."""
        ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A block that the operator trusts."""

    height: int
    block_hash: Hash32


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the sync works with."""

    peers: SnapshotPeers
    shelf: Shelf
    """Where chunks on their way in are kept."""
    worker: Worker
    """The thread that waits for files."""
    clock: Clock


class StateSync:
    """One node's way to a state. `run` ends when the store is there."""

    def __init__(
        self,
        tools: Tools,
        options: LightClientOptions,
        trust: Checkpoint | Trusted,
        restore: Callable[[Manifest, LightBlock, Commit], Awaitable[Head]],
    ) -> None:
        """`restore` makes the store, and raises ProtocolViolation for a snapshot that is not the proven block's."""
        self._peers = tools.peers
        self._shelf = tools.shelf
        self._worker = tools.worker
        self._clock = tools.clock
        self._options = options
        self._trust = trust
        self._restore = restore
        self._refused: set[Hash32] = set()
        self._liars: set[str] = set()
        """Not asked again, even where the switch takes them back because the operator wants them as peers."""

    async def run(self) -> Head:
        """Sync. Raises ConfigError where only the operator can help, StorageError."""
        await self._discover()
        trusted = await self._trusted()
        while True:
            offer, sources = await self._choose(trusted.height)
            try:
                successor = await self._proven(trusted, offer.height + 1)
            except TrustExpired as error:
                raise _advice(str(error)) from error
            manifest = await self._manifest(offer, sources, successor)
            if manifest is None or not await self._collect(manifest):
                continue
            commit = await self._decision(offer.height, successor.header.parent_hash)
            log.info("state_restoring", height=manifest.height, chunks=len(manifest.chunks))
            try:
                head = await self._restore(manifest, successor, commit)
            except ProtocolViolation as error:
                log.warning("snapshot_refused", height=offer.height, reason=str(error))
                self._refused.add(offer.id)
                self._shelf.remove(offer.height)
                for peer in await self._offering(offer):
                    self._ban(peer, str(error))
                continue
            log.info("state_restored", height=head.height, hash=head.block_hash.hex()[:12])
            return head

    @property
    def _known(self) -> tuple[str, ...]:
        return tuple(peer for peer in self._peers.peers if peer not in self._liars)

    def _ban(self, peer: str, reason: str) -> None:
        self._liars.add(peer)
        self._peers.ban(peer, reason)

    # Trust

    async def _discover(self) -> None:
        while not self._known:
            await self._clock.sleep(RETRY_SECONDS)
        await self._clock.sleep(DISCOVERY_SECONDS)

    async def _trusted(self) -> Trusted:
        """Return where trust begins. Raises ConfigError where every peer has another block there."""
        if isinstance(self._trust, Trusted):
            return self._trust
        height = self._trust.height
        while True:
            refusals: list[str] = []
            silent = 0
            for peer in self._known:
                try:
                    block = await self._light_block(peer, height)
                    if block is not None:
                        return check_checkpoint(block, height, self._trust.block_hash, self._options)
                    silent += 1
                except ProtocolViolation as error:
                    refusals.append(str(error))
            if refusals and not silent:
                raise _advice(f"no peer has the checkpoint: {refusals[0]}")
            log.info("waiting_for_checkpoint", height=height, peers=len(self._known))
            await self._clock.sleep(RETRY_SECONDS)

    async def _proven(self, trusted: Trusted, height: int) -> LightBlock:
        """Return the proven block of a height, after another peer's was compared with it. Raises TrustExpired."""
        block, supplier = await self._bisect(trusted, height, None)
        for peer in self._known:
            if peer == supplier:
                continue
            other = await self._light_block(peer, height)
            if other is None or other.header.hash == block.header.hash:
                continue
            if await self._is_proven_by(peer, trusted, height):
                raise _advice(
                    f"two peers prove two blocks of height {height}, 0x{block.header.hash.hex()} and "
                    f"0x{other.header.hash.hex()}: the chain is under attack. Ask people you trust which one is right"
                )
            self._ban(peer, f"its block {height} is not the chain's")
        return block

    async def _is_proven_by(self, peer: str, trusted: Trusted, height: int) -> bool:
        try:
            await self._bisect(trusted, height, peer)
        except (InvalidLightBlock, Divergence):
            return False
        return True

    async def _bisect(self, trusted: Trusted, height: int, only: str | None) -> tuple[LightBlock, str]:
        """Return the proven block and who supplied it. With `only`, raises InvalidLightBlock where that peer fails."""
        bisection = Bisection(trusted, height, self._options)
        suppliers: dict[int, str] = {}
        while (wanted := bisection.wanted) is not None:
            block, peer = await self._any_light_block(wanted, only)
            suppliers[wanted] = peer
            try:
                bisection.supply(block, self._clock.now_ms() // 1000)
            except InvalidLightBlock as error:
                if only is not None:
                    raise
                culprit = suppliers.get(bisection.wanted or wanted, peer)
                log.warning("wrong_light_block", peer=culprit, reason=str(error))
                self._ban(culprit, str(error))
        if bisection.verified is None:
            raise InvalidLightBlock(f"nothing was proven at height {height}")
        return bisection.verified, suppliers[height]

    async def _any_light_block(self, height: int, only: str | None) -> tuple[LightBlock, str]:
        """Return a light block from anybody, in time; with `only`, raises InvalidLightBlock where it has none."""
        while True:
            for peer in self._known if only is None else (only,):
                block = await self._light_block(peer, height)
                if block is not None:
                    return block, peer
            if only is not None:
                raise InvalidLightBlock(f"the peer has no block {height} that it could prove")
            await self._clock.sleep(RETRY_SECONDS)

    async def _light_block(self, peer: str, height: int) -> LightBlock | None:
        raw = await self._peers.ask(peer, Wanted.LIGHT_BLOCK, height)
        if not raw:
            return None
        try:
            block = decode_light_block(raw)
        except DecodingError as error:
            self._ban(peer, str(error))
            return None
        if block.height != height:
            self._ban(peer, f"it sent block {block.height} for {height}")
            return None
        return block

    async def _decision(self, height: int, block_hash: Hash32) -> Commit:
        """Return a commit of the block that a proven one names as its parent, from whoever has a right one."""
        while True:
            for peer in self._known:
                block = await self._light_block(peer, height)
                if block is None:
                    continue
                try:
                    check_checkpoint(block, height, block_hash, self._options)
                except InvalidLightBlock as error:
                    self._ban(peer, str(error))
                    continue
                return block.commit
            await self._clock.sleep(RETRY_SECONDS)

    # Snapshots

    async def _choose(self, above: int) -> tuple[Offer, Sequence[str]]:
        """Return the snapshot to get and who has it: what is half here already, else the newest, else wait."""
        while True:
            offers: dict[Offer, list[str]] = {}
            for peer in self._known:
                for offer in await self._offers(peer):
                    if offer.height >= above and offer.id not in self._refused:
                        offers.setdefault(offer, []).append(peer)
            begun = [Offer(m.height, m.id) for m in await self._worker.run(self._shelf.list)]
            for offer in begun:
                if offer in offers:
                    return offer, offers[offer]
            if offers:
                for offer in begun:
                    self._shelf.remove(offer.height)
                best = max(offers, key=lambda offer: (offer.height, len(offers[offer]), offer.id))
                return best, offers[best]
            log.info("waiting_for_snapshot", peers=len(self._known), above=above)
            await self._clock.sleep(RETRY_SECONDS)

    async def _offers(self, peer: str) -> tuple[Offer, ...]:
        raw = await self._peers.ask(peer, Wanted.OFFERS, 0)
        if not raw:
            return ()
        try:
            return decode_offers(raw)
        except DecodingError as error:
            self._ban(peer, str(error))
            return ()

    async def _offering(self, wanted: Offer) -> list[str]:
        """Return who has a snapshot now."""
        return [peer for peer in self._known if wanted in await self._offers(peer)]

    async def _manifest(self, offer: Offer, sources: Sequence[str], successor: LightBlock) -> Manifest | None:
        """Return the manifest of an offered snapshot, None where nobody delivers the right one."""
        for peer in sources:
            raw = await self._peers.ask(peer, Wanted.MANIFEST, offer.height)
            if not raw:
                continue
            try:
                manifest = decode_manifest(raw)
            except DecodingError as error:
                self._ban(peer, str(error))
                continue
            if Offer(manifest.height, manifest.id) != offer or manifest.block_hash != successor.header.parent_hash:
                self._ban(peer, f"its snapshot {offer.height} is not of the proven block")
                continue
            await self._worker.run(self._shelf.add_manifest, manifest)
            return manifest
        return None

    async def _collect(self, manifest: Manifest) -> bool:
        """Get the chunks that are not here; False where nobody has the snapshot any more."""
        missing = await self._worker.run(self._missing, manifest)
        log.info("state_syncing", height=manifest.height, chunks=len(manifest.chunks), missing=len(missing))
        while missing:
            sources = await self._offering(Offer(manifest.height, manifest.id))
            if not sources:
                return False
            wave = [(index, sources[place % len(sources)]) for place, index in enumerate(missing)]
            wave = wave[: PER_PEER * len(sources)]
            arrived = await asyncio.gather(*(self._chunk(manifest, index, peer) for index, peer in wave))
            missing = [index for index in missing if index not in arrived]
            log.info("state_sync_progress", chunks=len(manifest.chunks), missing=len(missing))
            if not any(index is not None for index in arrived):
                await self._clock.sleep(RETRY_SECONDS)
        return True

    def _missing(self, manifest: Manifest) -> list[int]:
        return [index for index in range(len(manifest.chunks)) if not self._shelf.has_chunk(manifest, index)]

    async def _chunk(self, manifest: Manifest, index: int, peer: str) -> int | None:
        """Get and keep one chunk; return its index, None where that peer did not deliver it."""
        chunk = await self._peers.ask(peer, Wanted.CHUNK, manifest.height, index)
        if not chunk:
            return None
        if keccak256(chunk) != manifest.chunks[index]:
            log.warning("wrong_chunk", peer=peer, height=manifest.height, index=index)
            self._ban(peer, f"chunk {index} of snapshot {manifest.height} has wrong bytes")
            return None
        await self._worker.run(self._shelf.add_chunk, manifest.height, index, chunk)
        return index


def _advice(what: str) -> ConfigError:
    return ConfigError(
        f"state sync refused: {what}. Set state_sync.trust_height and state_sync.trust_hash to a recent block"
    )
