"""Memory and disk: bytes an account, a pending transaction, and a committed transaction.

    python -m benchmarks.bench_memory [accounts] [pending] [disk] --accounts 10000 100000 1000000

Each figure comes from a process of its own, so that nothing else is in its resident memory. Accounts: the genesis of so many is written to
LevelDB and closed; a fresh process opens it and reads every account once through the flat state, then through the trie. What grows then are
caches, all of which are bounded, so the bytes of one entry in each are measured too (tracemalloc). Pending transactions: the real pool behind
its service, filled to its limit from wire bytes, alone and with gossip to three peers; by resident memory and by tracemalloc, whose largest
places are listed. Disk: blocks of 500 transactions are built, checked and committed; bytes by kind of record, and files after compaction.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import subprocess
import sys
import tempfile
import tracemalloc
from collections import Counter
from dataclasses import replace
from pathlib import Path

import structlog
from eth_abi import encode

from benchmarks.bench_scale import Inline, Node, recipient
from benchmarks.load import CHAIN_ID, PRICE, accounts, private_key
from benchmarks.workload import TOKEN
from cybermiles.chain.genesis import Allocation
from cybermiles.crypto.hashing import keccak256
from cybermiles.execution.genesis import genesis_block
from cybermiles.mempool.admission import Admission
from cybermiles.mempool.limits import PoolLimits
from cybermiles.mempool.pool import Pool
from cybermiles.mempool.service import MempoolService
from cybermiles.p2p.reactors.mempool import MempoolReactor
from cybermiles.runtime.clock import ManualClock
from cybermiles.state.kv import MemoryStore
from cybermiles.state.trie import TrieStateReader
from cybermiles.storage.database import Database
from cybermiles.storage.leveldb import LevelDB
from cybermiles.types.primitives import Wei
from cybermiles.types.transaction_codec import UnsignedTransaction
from cybermiles.vm.pyevm.backend import contract_address
from cybermiles.vm.pyevm.startup import prepare_runtime
from cybermiles.vm.rules import ChainRules, Fork
from tests.factories import genesis_document

SENDERS = 500
TOKEN_ADDRESS = contract_address(accounts(1)[0], 0)
CACHE_SAMPLE = 25_000
"""Less than half a cache, so that nothing is forgotten."""
BATCH = 100
BLOCKS, BLOCK_SIZE = 20, 500
KINDS = {
    b"b": "block", b"r": "outcomes", b"g": "logs", b"l": "log index", b"t": "transaction index", b"a": "flat accounts", b"s": "flat words",
    b"n": "account trie", b"o": "storage tries", b"x": "stale nodes", b"u": "undo",
}  # fmt: skip
TEMPORARY = ("account trie", "storage tries", "stale nodes", "undo", "flat accounts", "flat words")
"""Replaced by the next write of the same account or word, or deleted again after `node.keep_states` blocks."""


def resident():
    """Return resident bytes of the process's own memory, and of mapped files: LevelDB maps its tables, and the system takes them back at will."""
    gc.collect()
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return tuple(int(fields[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile"))


def own():
    return resident()[0]


def traced():
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def files_bytes(path):
    return sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())


def document_of(funded):
    """Return a genesis document that funds these accounts."""
    document = genesis_document()
    share = Wei(10**18)
    *others, last = document.allocations
    rest = replace(last, amount=Wei(last.amount - share * len(funded)))
    more = (Allocation(f"a{i}", address, share) for i, address in enumerate(funded))
    return replace(document, allocations=(*others, rest, *more))


def child(*arguments):
    """Run a part in a process of its own and return what it prints."""
    command = [sys.executable, "-m", "benchmarks.bench_memory", "--part", *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


# Accounts


def build_accounts(home, count):
    store = LevelDB(Path(home))
    Database(store).commit_genesis(genesis_block(document_of([recipient(n) for n in range(int(count))])))
    store.compact(b"\x00", b"\xff")
    sizes = Counter()
    for prefix in (b"a", b"n"):
        for key, value in store.iterate(prefix, prefix + b"\xff" * 64):
            sizes[prefix] += len(key) + len(value)
    store.close()
    return {"flat": sizes[b"a"], "trie": sizes[b"n"], "files": files_bytes(home)}


def read_accounts(home, count):
    """Read all accounts once in any order, as RPC and blocks do."""
    order = list(range(int(count)))
    random.Random(1).shuffle(order)
    before, files = resident()
    database = Database(LevelDB(Path(home)))
    for number in order:
        assert database.state.account(recipient(number)) is not None
    flat = own()
    for number in order:
        reader = TrieStateReader(database.nodes, database.codes, database.chain.head.state_root)
        assert reader.account(recipient(number)) is not None
    now, mapped = resident()
    return {"flat": flat - before, "trie": now - flat, "mapped": mapped - files}


def cached_account(home, count):
    """Return the bytes of Python objects for one account and one trie node in the caches."""
    database = Database(LevelDB(Path(home)))
    sample = min(int(count), CACHE_SAMPLE)
    addresses = [recipient(number) for number in range(sample)]
    tracemalloc.start()
    before = traced()
    for address in addresses:
        database.state.account(address)
    account = (traced() - before) / sample
    before = traced()
    for address in addresses:
        reader = TrieStateReader(database.nodes, database.codes, database.chain.head.state_root)
        reader.account(address)
    del reader
    cache = database.nodes._cache
    nodes = len(cache._new) + len(cache._old)
    return {"account": round(account), "node": round((traced() - before) / nodes)}


def measure_accounts(count):
    with tempfile.TemporaryDirectory() as home:
        disk = child("build_accounts", home, count)
        read = child("read_accounts", home, count)
        entry = child("cached_account", home, count)
    return {
        "case": "accounts", "accounts": count, "disk_bytes_per_account": round(disk["files"] / count),
        "of_it_flat_record": round(disk["flat"] / count), "of_it_trie": round(disk["trie"] / count),
        "own_mb_after_reading_all_flat": round(read["flat"] / 2**20, 1),
        "own_mb_more_after_reading_all_in_the_trie": round(read["trie"] / 2**20, 1),
        "mapped_files_mb": round(read["mapped"] / 2**20, 1),
        "bytes_per_cached_account": entry["account"], "bytes_per_cached_node": entry["node"],
    }  # fmt: skip


# Pending transactions


def signed(sender, nonce, kind, to, gas):
    data = (
        b""
        if kind == "plain"
        else keccak256(b"transfer(address,uint256)")[:4] + encode(["address", "uint256"], ["0x" + to.hex(), 1 + nonce])
    )
    return UnsignedTransaction(
        chain_id=CHAIN_ID, nonce=nonce, max_fee_per_gas=PRICE, max_priority_fee_per_gas=PRICE, gas_limit=gas,
        to=to if kind == "plain" else TOKEN_ADDRESS, value=int(kind == "plain"), data=data,
    ).sign(private_key(sender))  # fmt: skip


def write_load(path, kind, senders):
    """Sign as many as the pool takes, in the order in which users would send them."""
    count = PoolLimits().max_transactions
    with Path(path).open("wb") as file:
        for i in range(count):
            raw = signed(i % senders, i // senders, kind, recipient(i), 21_000 if kind == "plain" else 80_000).raw
            file.write(len(raw).to_bytes(4) + raw)


def batches(path):
    """Yield lists of wire bytes, as they come from a socket."""
    with Path(path).open("rb") as file:
        batch = []
        while head := file.read(4):
            batch.append(file.read(int.from_bytes(head)))
            if len(batch) == BATCH:
                yield batch
                batch = []


class Peer:
    """Takes everything."""

    is_outbound, host = True, "8.8.8.8"

    def __init__(self, number):
        self.id = f"{number:040x}"

    def send(self, channel, message):
        return True


async def fill_pool(path, senders, gossip, tool):
    """Return bytes a transaction of a pool filled to its limit; with tracemalloc also where they are."""
    document = document_of(accounts(int(senders)))
    database = Database(MemoryStore())
    database.commit_genesis(genesis_block(document))
    rules = ChainRules(fork=Fork.OSAKA, chain_id=document.chain_id)
    clock = ManualClock(10**12)
    service = MempoolService(
        pool=Pool(PoolLimits(), document.params), admission=Admission(rules, document.params, allow_unprotected=False),
        head=lambda: database.state, clock=clock, threads=Inline(), publish=lambda event: None,
    )  # fmt: skip
    reactor = MempoolReactor(service, lambda: False, clock) if gossip == "gossip" else None
    for number in range(3 if reactor else 0):
        reactor.peer_added(Peer(number))
    if tool == "tracemalloc":
        tracemalloc.start(1)
    measure = traced if tool == "tracemalloc" else own
    before, counted = 0, 0
    for number, batch in enumerate(batches(path)):
        if number == 50:  # 5 000 transactions for code, caches and free lists
            before, counted = measure(), len(service.pool)
            first = tracemalloc.take_snapshot() if tool == "tracemalloc" else None
        results = await service.submit_batch(batch)
        assert all(isinstance(result, bytes) for result in results), results
        clock.advance(60)
        if reactor:
            reactor.tick(clock.now_ms())
    del batch, results
    count = len(service.pool) - counted
    found = {
        "bytes": round((measure() - before) / count),
        "pending": len(service.pool),
        "wire": round(service.pool.size_bytes / len(service.pool)),
    }
    if tool == "tracemalloc":
        places = tracemalloc.take_snapshot().compare_to(first, "lineno")
        found["places"] = {
            "/".join(Path(place.traceback[0].filename).parts[-2:]) + f":{place.traceback[0].lineno}": round(
                place.size_diff / count
            )
            for place in places[:14]
        }
    return found


def measure_pending(kind, senders):
    with tempfile.TemporaryDirectory() as home:
        path = f"{home}/load"
        write_load(path, kind, senders)
        alone = child("fill_pool", path, senders, "alone", "rss")
        gossip = child("fill_pool", path, senders, "gossip", "rss")
        objects = child("fill_pool", path, senders, "gossip", "tracemalloc")
    return {
        "case": "pending", "kind": kind, "senders": senders, "pending": alone["pending"], "wire_bytes": alone["wire"],
        "resident_bytes": alone["bytes"], "resident_bytes_with_gossip_to_3": gossip["bytes"], "bytes_of_objects": objects["bytes"],
        "largest": objects["places"],
    }  # fmt: skip


# Disk


class Counting:
    """A store that counts what is written by kind of record."""

    def __init__(self, store):
        self._store = store
        self.bytes = Counter()
        self.get, self.iterate, self.compact, self.close = store.get, store.iterate, store.compact, store.close

    def write(self, batch, *, sync):
        for key, value in batch.items():
            self.bytes[KINDS.get(key[:1], "headers and the rest")] += len(key) + len(value or b"")
        self._store.write(batch, sync=sync)


async def commit_blocks(home, kind, count):
    """Return bytes a transaction on disk."""
    funded = [*accounts(SENDERS), *(recipient(n) for n in range(int(count) - SENDERS))]
    document = document_of(funded)
    params = replace(document.params, compute_units_per_block=30_000_000)
    document = replace(document, params=params)
    node = Node(home, document, genesis_block(document))
    store = node.database.store
    if kind == "ERC-20":
        await deploy(node, document)
    store.compact(b"\x00", b"\xff")
    files = files_bytes(home)
    counting = Counting(store)
    node.database._committer._store = counting
    rng, nonces = random.Random(1), [node.database.state.account(address).nonce for address in funded[:SENDERS]]
    for _ in range(BLOCKS):
        load = []
        for i in range(BLOCK_SIZE):
            sender = i % SENDERS
            to = recipient(rng.randrange(int(count) - SENDERS))
            load.append(signed(sender, nonces[sender], kind, to, 21_000 if kind == "plain" else 80_000))
            nonces[sender] += 1
        await commit(node, load)
    total = BLOCKS * BLOCK_SIZE
    store.compact(b"\x00", b"\xff")
    written = {name: round(size / total) for name, size in counting.bytes.most_common()}
    return {"files": round((files_bytes(home) - files) / total), "written": written}


async def commit(node, load):
    proposal = await node.build(load)
    verdict = await node.application.process_proposal(proposal.value)
    assert verdict.accepted, verdict.reason
    await node.take(proposal.block_hash, node.database.chain.head.height + 1)
    block = node.database.blocks.block(node.database.chain.head.height)
    assert len(block.transactions) == len(load)


async def deploy(node, document):
    """Deploy the token and give every sender some."""
    code = bytes.fromhex(json.loads(TOKEN.read_text())["bytecode"][2:]) + encode(
        ["string", "string", "uint256"], ["T", "T", 10**27]
    )
    fields = {"chain_id": document.chain_id, "max_fee_per_gas": PRICE, "max_priority_fee_per_gas": PRICE}
    create = UnsignedTransaction(nonce=0, gas_limit=2_000_000, to=None, data=code, **fields).sign(private_key(0))
    await commit(node, [create])
    move = keccak256(b"transfer(address,uint256)")[:4]
    shares = [
        UnsignedTransaction(
            nonce=1 + n,
            gas_limit=80_000,
            to=TOKEN_ADDRESS,
            data=move + encode(["address", "uint256"], ["0x" + to.hex(), 10**22]),
            **fields,
        ).sign(private_key(0))
        for n, to in enumerate(accounts(SENDERS)[1:])
    ]
    await commit(node, shares)


def measure_disk(kind, count=10_000):
    with tempfile.TemporaryDirectory() as home:
        found = child("commit_blocks", home, kind, count)
    written = found["written"]
    kept = sum(size for name, size in written.items() if name not in TEMPORARY)
    return {
        "case": "disk", "kind": kind, "accounts": count, "transactions": BLOCKS * BLOCK_SIZE, "transactions_per_block": BLOCK_SIZE,
        "bytes_per_transaction_kept": kept, "bytes_per_transaction_in_files_all_states": found["files"], "written": written,
    }  # fmt: skip


PARTS = {"build_accounts": build_accounts, "read_accounts": read_accounts, "cached_account": cached_account}
ASYNC_PARTS = {"fill_pool": fill_pool, "commit_blocks": commit_blocks}


def main():
    """Print a line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help="accounts, pending, disk; nothing: all three")
    parser.add_argument("--accounts", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--part", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    if options.part:
        prepare_runtime()
        name, *arguments = options.part
        found = asyncio.run(ASYNC_PARTS[name](*arguments)) if name in ASYNC_PARTS else PARTS[name](*arguments)
        print(json.dumps(found))
        return
    what = options.what or ["accounts", "pending", "disk"]
    if "accounts" in what:
        for count in options.accounts:
            print(json.dumps(measure_accounts(count)), flush=True)
    if "pending" in what:
        for kind in ("plain", "ERC-20"):
            print(json.dumps(measure_pending(kind, SENDERS)), flush=True)
        print(json.dumps(measure_pending("plain", PoolLimits().max_transactions)), flush=True)
    if "disk" in what:
        for kind in ("plain", "ERC-20"):
            print(json.dumps(measure_disk(kind)), flush=True)


if __name__ == "__main__":
    main()
