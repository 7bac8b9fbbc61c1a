"""The same load on this node and on other Ethereum nodes, one after another on the same machine.

    python -m benchmarks.bench_peers --modules DIR --geth PATH --bft PATH

Plain transfers, then ERC-20 transfers, of 200 senders: the same signed bytes to every node, made before any clock starts. They go in
JSON-RPC batches of 100, the next once the last is answered (a closed loop: as fast as the node takes them); a network of four gets them
in turn, or with `--parallel` each node its share at the same time. A warm-up of the same kind goes first and is waited for. The clock
runs from the first batch until the last node serves the block that holds the last transaction; then the nonce of every sender and a
balance are checked on every node.

    accepted/s    transactions divided by the time until the last batch was answered
    committed/s   transactions divided by the time until the last was in a served block
    ratio         committed/s divided by that of the first line of the same load
    CPU us/tx     CPU time of all processes of all nodes meanwhile, by transaction; other programs do not change it
    CPU/node      the same, by node
    RSS MB/node   peak resident memory of the largest node with its children, since its start
    RSS MB        the same of all nodes together
    blocks        how many blocks hold the transactions

Below the table stands what each node does not do; all of them recover a transaction's sender from its signature. `--modules` is a
folder in which `npm install @foundry-rs/anvil hardhat@2` was run, `--geth` a geth binary, `--bft` one of Polygon Edge, which
benchmarks/peers_bft.py says how to build; what is not given is left out, and said.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from itertools import chain, cycle
from pathlib import Path

from benchmarks import peers
from benchmarks.bench_rpc import send_batches
from benchmarks.load import accounts, rpc
from benchmarks.peers_bft import polygon_edge
from benchmarks.peers_load import loads
from benchmarks.workload import BATCH, SENDERS, port_of

STANDSTILL_SECONDS = 60
COLUMNS = {
    "load": "load", "node": "node", "accepted_per_second": "accepted/s", "committed_per_second": "committed/s",
    "ratio": "ratio", "cpu_us_per_transaction": "CPU us/tx", "cpu_us_per_transaction_and_node": "CPU/node",
    "peak_rss_mb_per_node": "RSS MB/node", "peak_rss_mb": "RSS MB", "blocks": "blocks",
}  # fmt: skip


def send(urls, transactions, in_parallel=False):
    """Send to the nodes in turn, or to all at the same time, to each what it would get in its turns."""
    batches = [transactions[at : at + BATCH] for at in range(0, len(transactions), BATCH)]
    if in_parallel:
        with ThreadPoolExecutor(len(urls)) as pool:
            shares = [list(chain(*batches[number :: len(urls)])) for number in range(len(urls))]
            list(pool.map(send_to, urls, shares))
    else:
        for url, batch in zip(cycle(urls), batches, strict=False):
            send_to(url, batch)


def send_to(url, transactions):
    send_batches(port_of(url), [tx.raw for tx in transactions], BATCH)


def transactions_in(url, height):
    """Return how many a block holds. Polygon Edge answers with a JSON number, the others with a quantity."""
    answer = rpc(url, "eth_getBlockTransactionCountByNumber", hex(height))
    return answer if isinstance(answer, int) else int(answer, 16)


def wait(peer, height, count):
    """Return how many blocks after `height` hold so many transactions. Raises PeerError after a minute without any."""
    watched, done, blocks, last = peer.urls[-1], 0, 0, time.monotonic()
    while done < count:
        while height < height_of(watched):
            height += 1
            if found := transactions_in(watched, height):
                done, blocks, last = done + found, blocks + 1, time.monotonic()
        if time.monotonic() > last + STANDSTILL_SECONDS:
            raise peers.PeerError(f"{done} of {count} committed, then none for {STANDSTILL_SECONDS} s")
        time.sleep(0.02)
    return blocks


def check(peer, load):
    """Raise PeerError unless every node has the last transaction's outcome, all nonces and the right balance."""
    height, last = height_of(peer.urls[-1]), "0x" + load.measured[-1].hash.hex()
    for url in peer.urls:
        wait_for(url, lambda url=url: height_of(url) >= height and rpc(url, "eth_getTransactionReceipt", last))
        status, found = rpc(url, "eth_getTransactionReceipt", last)["status"], int(rpc(url, *load.question), 16)
        if status != "0x1" or found != load.answer:
            raise peers.PeerError(f"status {status}, balance {found} instead of {load.answer} on {url}")
        for address, transaction in zip(accounts(SENDERS), load.last_of_each, strict=True):
            nonce = int(rpc(url, "eth_getTransactionCount", "0x" + address.hex(), "latest"), 16)
            if nonce != transaction.nonce + 1:
                raise peers.PeerError(f"nonce {nonce} instead of {transaction.nonce + 1} of 0x{address.hex()} on {url}")


def wait_for(url, condition):
    """Return when a node is as far as the one that was watched: it may be a block behind, or still write receipts."""
    end = time.monotonic() + STANDSTILL_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise peers.PeerError(f"{url} has not the last transaction after {STANDSTILL_SECONDS} s")
        time.sleep(0.02)


def height_of(url):
    return int(rpc(url, "eth_blockNumber"), 16)


def measure(peer, load, in_parallel):
    """Send one load and return its line."""
    for urls, transactions in ((peer.urls[:1], load.before), (peer.urls, load.warm_up)):
        height = height_of(peer.urls[-1])
        send(urls, transactions, in_parallel)
        wait(peer, height, len(transactions))
    count, nodes = len(load.measured), len(peer.urls)
    height, cpu, began = height_of(peer.urls[-1]), peers.cpu_seconds(peer), time.perf_counter()
    send(peer.urls, load.measured, in_parallel)
    accepted = time.perf_counter()
    blocks = wait(peer, height, count)
    ended, cpu = time.perf_counter(), peers.cpu_seconds(peer) - cpu
    check(peer, load)
    resident = peers.peak_resident_bytes(peer)
    return {
        "load": load.name,
        "node": peer.name,
        "transactions": count,
        "accepted_per_second": round(count / (accepted - began)),
        "committed_per_second": round(count / (ended - began)),
        "cpu_us_per_transaction": round(cpu / count * 1e6),
        "cpu_us_per_transaction_and_node": round(cpu / count / nodes * 1e6),
        "peak_rss_mb_per_node": max(resident) // 2**20,
        "peak_rss_mb": sum(resident) // 2**20,
        "blocks": blocks,
    }


def run(name, start, both, in_parallel, rows, notes):
    """Measure one node. Returns whether it came to the end; a failure is printed as its line."""
    try:
        with start() as peer:
            notes[peer.name] = f"{peer.note} ({rpc(peer.urls[0], 'web3_clientVersion')})"
            for load in both:
                rows.append(measure(peer, load, in_parallel))
                print(json.dumps(rows[-1]), flush=True)
    except (RuntimeError, OSError, HTTPException) as failure:
        print(json.dumps({"node": name, "failed": repr(failure)}), flush=True)
        return False
    return True


def print_table(rows):
    """Print the lines below each other, one load after the other, with ratios to the first of each."""
    rows = sorted(rows, key=lambda row: row["load"] != rows[0]["load"])
    firsts = {}
    for row in rows:
        first = firsts.setdefault(row["load"], row["committed_per_second"])
        row["ratio"] = f"{row['committed_per_second'] / first:.2f}"
    lines = [list(COLUMNS.values()), *([str(row[key]) for key in COLUMNS] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            cell.ljust(width) if at < 2 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells))


def chosen(options):
    """Return the nodes to measure by name, and say which are left out."""
    kinds = {"cybermiles 1": lambda: peers.ours(1), "cybermiles 4": lambda: peers.ours(4)}
    others = {
        "polygon-edge 4": (options.bft, "--bft", polygon_edge),
        "anvil": (options.modules, "--modules", peers.anvil),
        "hardhat": (options.modules, "--modules", peers.hardhat),
        "geth": (options.geth, "--geth", peers.geth),
    }
    for name, (path, option, start) in others.items():
        if path is None:
            print(json.dumps({"node": name, "left out": f"{option} is not given"}))
        else:
            kinds[name] = lambda start=start, path=path.resolve(): start(path)
    return {name: start for name, start in kinds.items() if options.only in name}


def main():
    """Print a line for each node and load, then the table and what each node does not do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", type=Path)
    parser.add_argument("--geth", type=Path)
    parser.add_argument("--bft", type=Path)
    parser.add_argument("--transactions", type=int, default=20_000, help="of each load, a multiple of 200")
    parser.add_argument("--warm-up", type=int, default=2_000, help="transactions before the clock, a multiple of 200")
    parser.add_argument("--parallel", action="store_true", help="to all nodes of a network at the same time")
    parser.add_argument("--only", default="", help="nodes whose name contains this")
    options = parser.parse_args()
    if options.transactions % SENDERS or options.warm_up % SENDERS or options.transactions < SENDERS:
        parser.error(f"as many transactions of each of the {SENDERS} senders: a multiple of {SENDERS}")
    both, rows, notes = loads(options.warm_up, options.transactions), [], {}
    complete = [run(name, start, both, options.parallel, rows, notes) for name, start in chosen(options).items()]
    if rows:
        print_table(rows)
    for name, note in notes.items():
        print(f"{name}: {note}")
    sys.exit(not all(complete))


if __name__ == "__main__":
    main()
