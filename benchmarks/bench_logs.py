"""Log queries over 100 000 blocks with a million ERC-20 transfers, and what the index costs a block.

The store is LevelDB on this disk with the node's own options. A query is first run as the job that `eth_getLogs` is: it
searches, decodes and renders. Each runs three times; the first finds cold caches of the database. Then the same queries are
posted to the RPC server in front of one call worker, which reads the store through this process: wall time of the answer
and CPU time of server, worker and client, the memory that the worker occupies, and the longest a timer of the event loop was
late meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from cybermiles.chain.params import ChainParams
from cybermiles.crypto.hashing import keccak256
from cybermiles.execution.genesis import genesis_block
from cybermiles.node.calls.metrics import CallMetrics
from cybermiles.node.calls.pool import CallPool
from cybermiles.node.calls.worker import setup_of
from cybermiles.node.chain_view import ChainView
from cybermiles.rpc.config import RpcConfig, RpcLimits
from cybermiles.rpc.logs import LogQuery, log_search
from cybermiles.rpc.serializers import Serializer
from cybermiles.rpc.service import RpcPorts, build_server
from cybermiles.runtime.clock import SystemClock
from cybermiles.runtime.metrics import Registry
from cybermiles.storage.block_store import header_records
from cybermiles.storage.chain_store import Head, chain_records
from cybermiles.storage.database import Database
from cybermiles.storage.leveldb import LevelDB, LevelDBOptions
from cybermiles.storage.log_index import fingerprints, log_records
from cybermiles.types.block_logs import encode_block_logs
from cybermiles.types.header import Header
from cybermiles.types.primitives import EMPTY_TRIE_ROOT, ZERO_ADDRESS, ZERO_HASH, Address, Hash32
from cybermiles.types.receipt import EMPTY_BLOOM, Log, Receipt
from tests.factories import genesis_document
from tests.fakes.rpc import FakeInfo, FakePool

TOKEN = Address(b"\x70" * 20)
RARE = Address(b"\x7a" * 20)
TRANSFER = Hash32(keccak256(b"Transfer(address,address,uint256)"))
HOLDERS = 20_000
RESULTS = 10_000
WHALE = Hash32(bytes(12) + b"\x0b" * 20)


@dataclass(frozen=True, slots=True)
class Outcome:
    """As much of an outcome as the index reads."""

    receipt: Receipt


def header_at(height):
    return Header(
        parent_hash=ZERO_HASH, coinbase=ZERO_ADDRESS, state_root=ZERO_HASH, transactions_root=EMPTY_TRIE_ROOT,
        receipts_root=EMPTY_TRIE_ROOT, logs_bloom=EMPTY_BLOOM, height=height, gas_limit=1, gas_used=0,
        timestamp=height, extra_data=ZERO_HASH, prev_randao=ZERO_HASH,
    )  # fmt: skip


def block(height, logs_per_block, rng, step):
    """Return (transaction hashes, outcomes) of a block of transfers; every `step`th has one of the whale's and the rare."""
    holders = [Hash32(rng.randrange(HOLDERS).to_bytes(32)) for _ in range(2 * logs_per_block)]
    logs = [
        Log(TOKEN, (TRANSFER, holders[2 * index], holders[2 * index + 1]), rng.randbytes(8).rjust(32, b"\0"))
        for index in range(logs_per_block)
    ]
    if height % step == 0:
        logs[0] = Log(TOKEN, (TRANSFER, WHALE, holders[0]), logs[0].data)
        logs[1] = Log(RARE, logs[1].topics, logs[1].data)
    hashes = [Hash32(rng.randbytes(32)) for _ in logs]
    return hashes, [Outcome(Receipt(2, True, 0, (log,), EMPTY_BLOOM)) for log in logs]


def build(store, blocks, logs_per_block):
    """Write the logs of every block as a commit does; return µs per log spent on making the records."""
    rng, step, spent = random.Random(1), max(1, blocks // RESULTS), 0.0
    batch = {}
    for height in range(1, blocks + 1):
        hashes, outcomes = block(height, logs_per_block, rng, step)
        header = header_at(height)
        _ = header.hash
        began = time.process_time()
        batch.update(log_records(header, hashes, outcomes, ()))
        spent += time.process_time() - began
        if height % 1_000 == 0:
            store.write(batch, sync=False)
            batch = {}
    store.write(batch, sync=False)
    store.compact(b"g", b"m")
    return spent / (blocks * logs_per_block) * 1e6


def measure(view, query, blocks):
    """Return (milliseconds of each of three runs, results or the obstacle, bytes)."""
    search = log_search(query, (1, blocks), Serializer(), RpcLimits())
    runs = []
    for _ in range(3):
        began = time.perf_counter()
        found = search.run(view)
        runs.append(round((time.perf_counter() - began) * 1e3, 1))
    answer = found.obstacle or f"{len(json.loads(found.json))} logs"
    return runs, answer, len(found.json)


class Lateness:
    """How late a task that wants its turn every millisecond gets it."""

    def __init__(self):
        self.worst = 0.0

    async def watch(self):
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            self.worst = max(self.worst, time.perf_counter() - began - 0.001)


def children_seconds(pids):
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def asked(query, blocks):
    """Return the body of the request for a query."""
    filter_ = {
        "fromBlock": "0x1",
        "toBlock": hex(blocks),
        "address": ["0x" + address.hex() for address in query.addresses],
        "topics": [["0x" + topic.hex() for topic in position] or None for position in query.topics],
    }
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [filter_]})


async def over_http(store, queries, blocks):
    """Print what each query takes end to end."""
    document, limits, registry = genesis_document(), RpcLimits(call_workers=1), Registry()
    database = Database(store)
    database.commit_genesis(genesis_block(document))
    head = header_at(blocks)
    supply = database.chain.supply
    store.write(
        header_records(header_at(1)) | header_records(head)
        | chain_records(Head(blocks, head.hash, head.state_root), supply), sync=False,
    )  # fmt: skip
    database.follow()
    calls = registry.create(CallMetrics, "calls")
    pool = CallPool(setup_of(document, limits), store, limits=limits, clock=SystemClock(), metrics=calls)
    transactions = FakePool()
    ports = RpcPorts(
        chain=ChainView(database, document.chain_id, document.params, tuple), executor=pool, pool=transactions,
        info=FakeInfo(), events=transactions.events, clock=SystemClock(), id_secret=bytes(32),
    )  # fmt: skip
    server = build_server(RpcConfig(port=0, limits=limits), ports)
    pool.start()
    await server.start()
    lateness = Lateness()
    watching = asyncio.create_task(lateness.watch())
    async with aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as session:
        for name, query in queries.items():
            runs, lateness.worst = [], 0.0
            for _ in range(3):
                began, cpu = time.perf_counter(), time.process_time() + children_seconds(pool.pids)
                async with session.post(server.url, data=asked(query, blocks)) as response:
                    answer = await response.read()
                cpu = time.process_time() + children_seconds(pool.pids) - cpu
                runs.append((round((time.perf_counter() - began) * 1e3), round(cpu * 1e3)))
            memory = sum(memory_bytes(pid) for pid in pool.pids) / 1e6
            print(
                f"{name:<38}{runs} ms (wall, CPU), {len(answer) / 1e6:.1f} MB; worker {memory:.0f} MB; "
                f"event loop late by {lateness.worst * 1e3:.0f} ms"
            )
    watching.cancel()
    await server.stop()
    pool.close()


def sizes(rng, logs_per_block):
    """Return bytes per log (of the logs, of the fingerprints) before the database compresses them."""
    hashes, outcomes = block(1, logs_per_block, rng, 2)
    logs = [outcome.receipt.logs[0] for outcome in outcomes]
    pairs = zip(hashes, ([log] for log in logs), strict=True)
    record = encode_block_logs(header_at(1), pairs)
    return round(len(record) / len(logs)), round(len(fingerprints(logs)) / len(logs), 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=100_000)
    parser.add_argument("--logs", type=int, default=10, help="logs in a block")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, LevelDB(Path(directory), LevelDBOptions()) as store:
        per_log = build(store, arguments.blocks, arguments.logs)
        disk = sum(file.stat().st_size for file in Path(directory).iterdir())
        of_logs, of_index = sizes(random.Random(2), arguments.logs)
        total = arguments.blocks * arguments.logs
        print(f"{total} logs in {arguments.blocks} blocks: {per_log:.2f} µs a log to make the records")
        print(f"bytes a log: {of_logs} + index {of_index}; on disk, compressed, both {disk / total:.0f}")
        view = ChainView(Database(store), 1, ChainParams(), tuple)
        some = tuple(Hash32(number.to_bytes(32)) for number in range(30))
        queries = {
            "address, topic, holder": LogQuery(addresses=(TOKEN,), topics=((TRANSFER,), (WHALE,))),
            "rare address, topic": LogQuery(addresses=(RARE,), topics=((TRANSFER,),)),
            "address, topic, one of 30 receivers": LogQuery(addresses=(TOKEN,), topics=((TRANSFER,), (), some)),
            "address that is nowhere": LogQuery(addresses=(Address(b"\x01" * 20),)),
            "address and topic of every log": LogQuery(addresses=(TOKEN,), topics=((TRANSFER,),)),
            "everything": LogQuery(),
        }
        for name, query in queries.items():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            runs, answer, size = measure(view, query, arguments.blocks)
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            print(f"{name:<38}{runs} ms, {answer}, {size / 1e6:.1f} MB; peak memory +{grown:.0f} MB")
        print("over HTTP and a call worker:")
        asyncio.run(over_http(store, queries, arguments.blocks))


if __name__ == "__main__":
    main()
