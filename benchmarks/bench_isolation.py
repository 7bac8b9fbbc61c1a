"""A one-validator node under calls: what a call costs, and whether any number or kind of them moves a block.

    latency      one caller: eth_call of a storage read, median and 99th percentile, and calls a second
    mixed        eth_call, eth_getLogs, eth_getBalance and blocks at a fixed rate from another process
    worst        100 parallel calls: an endless loop, growing memory, pairings; each must be answered or cut off

Blocks are timed where they arrive: this process asks for the height every few milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import aiohttp

from benchmarks.load import accounts, node, resident_bytes, rpc

PORT = 18546
CALLER = "0x" + "11" * 20
LOOP = "0x5b5f56"
"""jumpdest; jump to it, for ever."""
MEMORY_GROWS = "0x5f5b61040001805f90526001565b"
"""Keep a counter, and store at ever higher addresses."""
PAIRING = "0x5b5f5f6103005f5f60085af1505f56"
"""Call the BN254 pairing check of two empty pairs, for ever."""


def call(code):
    """Return the parameters of a call of this code, put at an address for the time of the call."""
    at = "0x" + "cc" * 20
    return [{"from": CALLER, "to": at, "gas": hex(1 << 24)}, "latest", {at: {"code": code}}]


def percentile(values, share):
    """Return the value below which this share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Blocks(threading.Thread):
    """Notes when each block arrives."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.times, self.going = url, [], True

    def run(self):
        last = None
        while self.going:
            height = int(rpc(self.url, "eth_blockNumber"), 16)
            if height != last:
                self.times.append(time.perf_counter())
                last = height
            time.sleep(0.01)

    def figures(self):
        """Return the intervals' figures in seconds."""
        self.going = False
        self.join()
        gaps = [after - before for before, after in zip(self.times[1:], self.times[2:])]
        return {
            "blocks": len(gaps),
            "median": round(percentile(gaps, 0.5), 3),
            "p99": round(percentile(gaps, 0.99), 3),
            "most": round(max(gaps), 3),
        }


def latency(url, seconds):
    """One caller over one connection."""

    async def ask():
        times = []
        end = time.perf_counter() + seconds
        async with aiohttp.ClientSession() as session:
            body = {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "eth_call",
                "params": [{"to": "0x" + "10" * 20, "data": "0x"}, "latest"],
            }
            while time.perf_counter() < end:
                began = time.perf_counter()
                async with session.post(url, json=body) as response:
                    answer = await response.json()
                assert "result" in answer, answer
                times.append(time.perf_counter() - began)
        return times

    times = asyncio.run(ask())[20:]
    return {
        "calls_per_second": round(len(times) / sum(times)),
        "p50_ms": round(percentile(times, 0.5) * 1e3, 2),
        "p99_ms": round(percentile(times, 0.99) * 1e3, 2),
    }


async def _mixed(url, rate, seconds):
    """Send at a fixed rate, whatever comes back; print what came back."""
    kinds = [
        ("eth_call", [{"to": "0x" + "10" * 20, "data": "0x"}, "latest"]),
        ("eth_getLogs", [{"fromBlock": "0x0", "toBlock": "latest"}]),
        ("eth_getBalance", [CALLER, "latest"]),
        ("eth_getBlockByNumber", ["latest", True]),
    ]
    done, waiting = {}, set()
    connector = aiohttp.TCPConnector(limit=150)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask(number):
            method, params = kinds[number % len(kinds)]
            try:
                async with session.post(
                    url, json={"jsonrpc": "2.0", "id": number, "method": method, "params": params}
                ) as response:
                    answer = await response.json()
                outcome = "ok" if "result" in answer else answer["error"]["message"][:60]
            except aiohttp.ClientError as error:
                outcome = type(error).__name__
            done[outcome] = done.get(outcome, 0) + 1

        began = time.perf_counter()
        number = 0
        while (now := time.perf_counter() - began) < seconds:
            while number < now * rate and len(waiting) < 2_000:
                task = asyncio.ensure_future(ask(number))
                waiting.add(task)
                task.add_done_callback(waiting.discard)
                number += 1
            await asyncio.sleep(0.002)
        await asyncio.gather(*waiting)
        took = time.perf_counter() - began
    print(
        json.dumps(
            {"asked_per_second": rate, "answered_per_second": round(sum(done.values()) / took), "outcomes": done}
        )
    )


def mixed(url, rate, seconds):
    """Block intervals without and with the load."""
    quiet = Blocks(url)
    quiet.start()
    time.sleep(seconds)
    before = quiet.figures()
    loaded = Blocks(url)
    loaded.start()
    command = [
        sys.executable,
        "-m",
        "benchmarks.bench_isolation",
        "--send",
        url,
        "--rate",
        str(rate),
        "--seconds",
        str(seconds),
    ]
    sent = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=Path(__file__).parents[1]).stdout)
    return {"quiet": before, "loaded": loaded.figures(), **sent}


def worst(url, code, count=100):
    """Many of the worst calls at once."""

    async def ask():
        connector = aiohttp.TCPConnector(limit=count)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def one():
                began = time.perf_counter()
                async with session.post(
                    url, json={"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": call(code)}
                ) as response:
                    answer = await response.json()
                return time.perf_counter() - began, answer["error"]["message"][:60] if "error" in answer else "ok"

            return await asyncio.gather(*(one() for _ in range(count)))

    blocks = Blocks(url)
    blocks.start()
    answers = asyncio.run(ask())
    outcomes = {}
    for _, outcome in answers:
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    time.sleep(max(0.0, 12 - max(took for took, _ in answers)))
    return {
        "longest_seconds": round(max(took for took, _ in answers), 2),
        "outcomes": outcomes,
        "intervals": blocks.figures(),
    }


def main():
    """Print every part's figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--send")
    parser.add_argument("--rate", type=int, default=2_000)
    parser.add_argument("--seconds", type=int, default=60)
    given = parser.parse_args()
    if given.send:
        asyncio.run(_mixed(given.send, given.rate, given.seconds))
        return
    with tempfile.TemporaryDirectory() as home, node(home, accounts(10), port=PORT) as (url, process):
        rpc(url, "eth_call", *call("0x00"))
        print("latency", json.dumps(latency(url, min(10, given.seconds))), flush=True)
        for name, code in (("loop", LOOP), ("memory", MEMORY_GROWS), ("pairing", PAIRING)):
            print("worst", name, json.dumps(worst(url, code)), flush=True)
            time.sleep(5)
        print("mixed", json.dumps(mixed(url, given.rate, given.seconds)), flush=True)
        print("rss_mb", [size >> 20 for size in resident_bytes(process.pid)], flush=True)


if __name__ == "__main__":
    main()
