"""The start of a node that has no chain and takes a state from peers, before anything else of it runs.

Only the switch, peer exchange and state sync are up; when the store is there they end, and the node starts as it always
does, with a chain whose first block is the snapshot's.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from cybermiles import __version__
from cybermiles.errors import ConfigError
from cybermiles.execution.genesis import genesis_block
from cybermiles.p2p.book_file import BookFile, new_book
from cybermiles.p2p.node_info import NodeInfo
from cybermiles.p2p.reactors.pex import PexReactor
from cybermiles.p2p.reactors.state_sync import StateSyncReactor
from cybermiles.p2p.switch import Environment, Switch
from cybermiles.p2p.transport import TcpNetwork
from cybermiles.runtime.clock import SystemClock
from cybermiles.runtime.randomness import SystemRandomness
from cybermiles.runtime.tasks import Supervisor, stop_on_signals
from cybermiles.snapshots.rebuild import rebuild
from cybermiles.snapshots.restore import Proof
from cybermiles.snapshots.shelf import Shelf
from cybermiles.sync.light_client import LightClientOptions, Trusted
from cybermiles.sync.state_service import Checkpoint, StateSync, Tools
from cybermiles.types.primitives import Hash32

if TYPE_CHECKING:
    from cybermiles.chain.genesis import GenesisDocument
    from cybermiles.node.config import NodeConfig
    from cybermiles.node.data_dir import DataDir
    from cybermiles.node.sections import StateSyncSection
    from cybermiles.runtime.executor import Worker
    from cybermiles.snapshots.format import Manifest
    from cybermiles.storage.chain_store import Head
    from cybermiles.types.commit import Commit
    from cybermiles.types.light_block import LightBlock


async def sync_state(config: NodeConfig, directory: DataDir, document: GenesisDocument, disk: Worker) -> bool:
    """Take a state from peers where it is configured and there is no chain yet; whether the node may go on.

    False where the operator stopped it. Raises ConfigError where the sync is refused, StorageError.
    """
    if not config.state_sync.enabled or directory.chain.exists():
        return True
    if not config.p2p_enabled:
        raise ConfigError("state_sync.enabled needs p2p.enabled: snapshots come from peers")
    clock, key, randomness = SystemClock(), directory.load_or_create_node_key(), SystemRandomness()
    book, book_file = new_book(config.p2p, key.id, randomness), BookFile(directory.address_book, disk)
    book_file.load(book)
    reactor = StateSyncReactor(None, clock)
    addresses = PexReactor(config.p2p, book, clock) if config.p2p.pex else None
    info = NodeInfo(
        chain_id=document.chain_id, genesis_hash=document.hash, software_version=f"cybermiles/v{__version__}"
    )
    switch = Switch(
        config.p2p,
        key,
        info,
        [reactor] if addresses is None else [reactor, addresses],
        Environment(network=TcpNetwork(), clock=clock, randomness=randomness, book_file=book_file),
        book,
    )
    await switch.listen()
    restorer = _Restorer(directory, document, disk)
    tools = Tools(peers=reactor, shelf=restorer.shelf, worker=disk, clock=clock)
    sync = StateSync(
        tools, _options(config.state_sync, document), _trust(config.state_sync, document), restorer.restore
    )
    supervisor = Supervisor()
    supervisor.start("switch", switch.run())
    supervisor.start("state service", reactor.run())
    if addresses is not None:
        supervisor.start("peer exchange", addresses.run())
    supervisor.start("state sync", sync.run())
    stop_on_signals(supervisor)
    await supervisor.wait()
    return directory.chain.exists()


class _Restorer:
    """Keeps chunks on their way in and makes the store of them."""

    def __init__(self, directory: DataDir, document: GenesisDocument, disk: Worker) -> None:
        self.shelf = Shelf(directory.incoming)
        self._directory = directory
        self._document = document
        self._disk = disk

    async def restore(self, manifest: Manifest, successor: LightBlock, commit: Commit) -> Head:
        """Make the chain's store. Raises ProtocolViolation for a snapshot of something else, StorageError."""
        proof = Proof(genesis_block(self._document), self._document, successor, commit)
        head = await self._disk.run(rebuild, self.shelf, manifest, proof, self._directory.chain)
        shutil.rmtree(self._directory.incoming, ignore_errors=True)
        return head


def _options(section: StateSyncSection, document: GenesisDocument) -> LightClientOptions:
    period = section.trusting_period_seconds or document.params.unbonding_seconds * 2 // 3
    if period >= document.params.unbonding_seconds:
        raise ConfigError(
            f"state_sync.trusting_period_seconds = {period}: it must be below the unbonding time of "
            f"{document.params.unbonding_seconds} s, after which validators answer for nothing"
        )
    return LightClientOptions(chain_id=document.chain_id, genesis_hash=document.hash, trusting_period=period)


def _trust(section: StateSyncSection, document: GenesisDocument) -> Checkpoint | Trusted:
    if bool(section.trust_height) != bool(section.trust_hash):
        raise ConfigError("state_sync.trust_height and state_sync.trust_hash belong together; set both or none")
    if section.trust_height:
        return Checkpoint(section.trust_height, Hash32(bytes.fromhex(section.trust_hash[2:])))
    header = genesis_block(document).header
    return Trusted(0, header.hash, header.timestamp, document.validator_set)
