"""A real node under a pre-signed load of plain transfers over JSON-RPC: committed transactions a second, end to end.

The clock runs from the first request to the block that holds the last transaction, with the sender in this process on the same
machine. Batches of 100, then single requests over one keep-alive connection.
"""

from __future__ import annotations

import http.client
import json
import tempfile
import time

from benchmarks.load import accounts, node, resident_bytes, rpc, transfers


def send_batches(port, raws, size):
    """Send everything in batches over one connection. Raises RuntimeError for a refused transaction."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for start in range(0, len(raws), size):
        chunk = raws[start : start + size]
        requests = [
            {"jsonrpc": "2.0", "id": i, "method": "eth_sendRawTransaction", "params": ["0x" + raw.hex()]}
            for i, raw in enumerate(chunk)
        ]
        body = json.dumps(requests if size > 1 else requests[0])
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        for entry in answer if size > 1 else [answer]:
            if "error" in entry:
                raise RuntimeError(entry["error"])
    connection.close()


def measure(count, size, senders=200):
    """Return one run's figures."""
    load = transfers(senders, count // senders, accounts(2_000))
    raws = [tx.raw for tx in load]
    with tempfile.TemporaryDirectory() as home, node(home, accounts(senders)) as (url, process):
        port = int(url.rsplit(":", 1)[1])
        first = int(rpc(url, "eth_blockNumber"), 16)
        began = time.perf_counter()
        send_batches(port, raws, size)
        ingested = time.perf_counter()
        done, height = 0, first
        while done < count:
            head = int(rpc(url, "eth_blockNumber"), 16)
            now = time.perf_counter()
            while height < head:
                height += 1
                block = rpc(url, "eth_getBlockByNumber", hex(height), False)
                done += len(block["transactions"])
            time.sleep(0.02)
        ended = now
        receipt = rpc(url, "eth_getTransactionReceipt", "0x" + load[-1].hash.hex())
        assert receipt["status"] == "0x1"
        _, peak = resident_bytes(process.pid)
    return {
        "batch": size,
        "transactions": count,
        "committed_per_second": round(count / (ended - began)),
        "accepted_per_second": round(count / (ingested - began)),
        "seconds": round(ended - began, 2),
        "peak_rss_mb": peak // 2**20,
    }


def main():
    """Print both runs."""
    for count, size in ((20_000, 100), (6_000, 1)):
        print(json.dumps(measure(count, size)))


if __name__ == "__main__":
    main()
