"""What a node keeps on disk, and that only one node uses it.

HOME/config.toml                 settings, optional
HOME/genesis.json                the chain's document
HOME/keys/validator.json         consensus key, 0600
HOME/keys/validator_state.json   last signed message, 0600; never delete it while the key is in use
HOME/keys/node.json              key that peers know the node by, 0600; may be lost, peers then see another node
HOME/keys/next/                  validator key and state that `cmt key rotate` prepared
HOME/keys/retired/ADDRESS/       validator keys used before, with their states
HOME/keystore/                   accounts, Web3 Secret Storage
HOME/data/chain/                 blocks, state, indexes (LevelDB)
HOME/data/wal/                   the height in progress
HOME/data/snapshots/             snapshots made for others
HOME/data/incoming/              chunks of a state on its way in
HOME/data/addresses.json         where other nodes are
HOME/verified/                   sources of verified contracts; not part of the chain
HOME/node.lock                   process id of the node that runs here, which holds a lock on it
"""

from __future__ import annotations

import fcntl
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.chain.genesis import GenesisDocument, parse_genesis
from cybermiles.chain.writing import format_genesis
from cybermiles.consensus.privval import create_state
from cybermiles.consensus.validator_key import generate_key, load_key, save_key
from cybermiles.errors import ConfigError
from cybermiles.p2p.identity import NodeKey
from cybermiles.p2p.key_file import load_node_key, save_node_key
from cybermiles.runtime.directory import OsDirectory

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO


@dataclass(frozen=True, slots=True)
class DataDir:
    """Paths below one home directory."""

    home: Path

    @property
    def config(self) -> Path:
        return self.home / "config.toml"

    @property
    def genesis(self) -> Path:
        return self.home / "genesis.json"

    @property
    def validator_key(self) -> Path:
        return self.home / "keys" / "validator.json"

    @property
    def validator_state(self) -> Path:
        return self.home / "keys" / "validator_state.json"

    @property
    def node_key(self) -> Path:
        return self.home / "keys" / "node.json"

    @property
    def next_keys(self) -> Path:
        return self.home / "keys" / "next"

    @property
    def retired_keys(self) -> Path:
        return self.home / "keys" / "retired"

    @property
    def keystore(self) -> Path:
        return self.home / "keystore"

    @property
    def chain(self) -> Path:
        return self.home / "data" / "chain"

    @property
    def snapshots(self) -> Path:
        return self.home / "data" / "snapshots"

    @property
    def incoming(self) -> Path:
        return self.home / "data" / "incoming"

    @property
    def wal(self) -> Path:
        return self.home / "data" / "wal"

    @property
    def address_book(self) -> Path:
        return self.home / "data" / "addresses.json"

    @property
    def verified(self) -> Path:
        return self.home / "verified"

    @property
    def is_initialised(self) -> bool:
        """Whether `cmt init` ran here."""
        return self.genesis.exists()

    def running_process(self) -> int | None:
        """Return the id of the node's process, None while no node runs here, whatever files an earlier one left."""
        path = self.home / "node.lock"
        if not path.exists():
            return None
        with path.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                text = file.read().strip()
                return int(text) if text.isdigit() else 0
        return None

    def lock(self) -> IO[str]:
        """Return the open lock of a running node. Raises ConfigError naming the process that holds it."""
        self.home.mkdir(parents=True, exist_ok=True)
        path = self.home / "node.lock"
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise ConfigError(
                f"a node with process id {holder} is running in {self.home}; stop it or use another --home"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        return file

    def load_genesis(self) -> GenesisDocument:
        """Return the chain's document. Raises ConfigError where there is none."""
        if not self.genesis.exists():
            raise ConfigError(f"no genesis document in {self.home}; run `cmt init --home {self.home}` first")
        return parse_genesis(self.genesis.read_bytes())

    def create_keys(self) -> bytes:
        """Create the validator key where it is missing and return its public key."""
        self.validator_key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.keystore.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.validator_key.exists():
            save_key(self.validator_key, generate_key())
        self.load_or_create_node_key()
        return load_key(self.validator_key).public

    def load_or_create_node_key(self) -> NodeKey:
        """Return the key that peers know the node by; a home without one gets one."""
        if not self.node_key.exists():
            self.node_key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            save_node_key(self.node_key, NodeKey.generate())
        return load_node_key(self.node_key)

    def create_chain(self, document: GenesisDocument) -> None:
        """Write the genesis document and the signer state that is bound to it. Raises ConfigError where one exists."""
        if self.genesis.exists():
            raise ConfigError(
                f"{self.genesis} exists: this home belongs to a chain already; use another --home, or "
                "`cmt node reset` to delete its chain data"
            )
        if not self.validator_state.exists():
            self.create_signer_state(self.validator_state, document)
        self.genesis.write_text(format_genesis(document))

    def create_signer_state(self, path: Path, document: GenesisDocument) -> None:
        """Write the state of a key that never signed on this chain. Raises ConfigError where one exists."""
        files = OsDirectory(path.parent)
        try:
            create_state(files, path.name, document.chain_id, document.hash)
        finally:
            files.close()

    def reset(self, *, with_signer_state: bool) -> None:
        """Delete blocks and state; keys and genesis stay. Raises ConfigError while a node runs.

        The signer state goes only on request: the key then forgets what it signed, which is safe on a chain that
        nobody else holds and nowhere else.
        """
        lock = self.lock()
        try:
            if (self.home / "data").exists():
                shutil.rmtree(self.home / "data")
            if with_signer_state:
                document = self.load_genesis()
                self.validator_state.unlink(missing_ok=True)
                self.create_signer_state(self.validator_state, document)
        finally:
            lock.close()
