"""What the stopped nodes' disks say: one chain, true commits, and no validator that signed twice unless it was told to.

Everything is read from the stores and the logs of the heights in progress, not asked of the nodes: a node that
lied to itself would be believed otherwise.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from cybermiles.consensus.core.inputs import VoteReceived
from cybermiles.consensus.replay import read_entries
from cybermiles.node.data_dir import DataDir
from cybermiles.runtime.directory import OsDirectory
from cybermiles.storage.database import Database
from cybermiles.storage.leveldb import LevelDB, LevelDBOptions
from cybermiles.storage.recovery import check_store
from cybermiles.types.commit import verify_commit
from cybermiles.types.evidence import decode_evidence
from tests.e2e.network.cluster import Trouble


@dataclass
class Findings:
    """What the disks of a network hold together."""

    height: int
    """Of the node that is furthest."""
    evidence: dict
    """Validator to its proofs of double signing, committed or pending, each counted once."""
    committed: int
    """Proofs that are in blocks."""


def audit(cluster, liars=()):
    """Check every stopped node's disk. `liars` are the addresses, 0x…, that may have signed twice. Raises Trouble."""
    assert not cluster.running
    hashes, votes, evidence, committed = {}, defaultdict(set), defaultdict(set), set()
    for node in cluster.nodes:
        directory = DataDir(node.home)
        document = directory.load_genesis()
        if directory.chain.exists():
            store = LevelDB(directory.chain, LevelDBOptions())
            try:
                _read_chain(node, Database(store), document, hashes, evidence, committed)
            finally:
                store.close()
        _read_log(directory, votes)
    for (validator, *where), named in votes.items():
        if len(named) > 1:
            evidence["0x" + validator.hex()].add(tuple(where))
    honest = {validator: proofs for validator, proofs in evidence.items() if proofs and validator not in liars}
    if honest:
        raise Trouble(f"honest validators signed twice: {honest}")
    return Findings(max(hashes, default=0), dict(evidence), len(committed))


def _read_chain(node, database, document, hashes, evidence, committed):
    head = check_store(database)
    for height in range(1, head.height + 1):
        block, commit = database.blocks.block(height), database.blocks.commit(height)
        first = hashes.setdefault(height, (block.hash, node.name))
        if first[0] != block.hash:
            raise Trouble(f"two blocks at height {height}: {first[1]} and {node.name}")
        if commit.block_hash != block.hash:
            raise Trouble(f"{node.name}: the commit of height {height} is another block's")
        verify_commit(commit, database.validators.validators(height), document.chain_id, document.hash)
        for raw in block.consensus.evidence:
            committed.add(raw)
            _note(evidence, raw)
    for raw in database.evidence.pending():
        _note(evidence, raw)


def _note(evidence, raw):
    proof = decode_evidence(raw)
    evidence["0x" + proof.validator.hex()].add((proof.height, proof.first.round, int(proof.first.type)))


def _read_log(directory, votes):
    """Collect who voted for what in the height in progress, as this node saw it."""
    if not directory.wal.exists():
        return
    files = OsDirectory(directory.wal)
    for name in files.names():
        for entry in read_entries(files, int(name.removeprefix("wal-"))):
            if isinstance(entry.input, VoteReceived):
                vote = entry.input.vote
                votes[vote.validator, vote.height, vote.round, int(vote.type)].add(vote.block_hash)
    files.close()
