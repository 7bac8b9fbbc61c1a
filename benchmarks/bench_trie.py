"""State root: 1 000 changed accounts in a state of 10^4 and 10^5, beside `trie.HexaryTrie` doing the same updates."""

from __future__ import annotations

import json
import statistics
import time

from trie import HexaryTrie

from benchmarks.bench_block import MemoryTrie
from cybermiles.crypto.hashing import keccak256
from cybermiles.state.reader import NoState
from cybermiles.state.trie import update_root
from cybermiles.state.world import WorldState
from cybermiles.types import rlp
from cybermiles.types.primitives import EMPTY_CODE_HASH, EMPTY_TRIE_ROOT, Address

CHANGED = 1_000


def address(index):
    return Address(keccak256(index.to_bytes(8))[12:])


def populate(count):
    """Return a trie of ours with that many accounts."""
    trie, world = MemoryTrie(), WorldState(NoState())
    world.begin_transaction()
    for index in range(count):
        world.set_balance(address(index), 10**18 + index)
    world.end_transaction()
    trie.apply(world, NoState())
    return trie


def leaf(balance):
    return rlp.encode([b"", rlp.int_to_bytes(balance), EMPTY_TRIE_ROOT, EMPTY_CODE_HASH])


def measure(count):
    """Return µs per changed account on both sides; the roots must agree."""
    trie = populate(count)
    step = count // CHANGED
    runs = []
    for turn in range(5):
        reader = trie.reader()
        world = WorldState(reader)
        world.begin_transaction()
        for index in range(0, count, step):
            world.set_balance(address(index), 7 * 10**18 + index + turn)
        world.end_transaction()
        changes = world.changes()
        began = time.process_time()
        update = update_root(trie, reader, trie.root, changes)
        runs.append((time.process_time() - began) / CHANGED * 1e6)
    ours = statistics.median(runs)
    reference = HexaryTrie({node_hash: node for (_, node_hash), node in trie.nodes.items()}, trie.root, prune=False)
    began = time.process_time()
    with reference.squash_changes() as batch:
        for index in range(0, count, step):
            batch[keccak256(address(index))] = leaf(7 * 10**18 + index + turn)
    theirs = (time.process_time() - began) / CHANGED * 1e6
    assert reference.root_hash == update.root
    return {
        "case": f"state root, {CHANGED} of {count} accounts",
        "ours_us_per_account": round(ours, 1),
        "hexary_trie_us_per_account": round(theirs, 1),
        "ratio": round(theirs / ours, 1),
    }


def main():
    """Print both sizes."""
    for count in (10_000, 100_000):
        print(json.dumps(measure(count)))


if __name__ == "__main__":
    main()
