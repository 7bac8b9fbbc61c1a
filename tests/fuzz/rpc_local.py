"""What only this machine's user reaches: the Unix socket, and the methods that a chain for development has.

Over the socket a body is followed by a request whose answer is waited for, as over a WebSocket. What is no JSON may leave
the node waiting for its end; it is the last that its connection sends.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import orjson

from cybermiles.rpc.config import RpcLimits
from tests.fuzz.rpc_cases import Facts, reads

BODIES_PER_CONNECTION = 200
LONGEST_LINE = 64 << 20
DEVELOPMENT = ("evm", "anvil", "hardhat")
TAKE_BACK = frozenset({"evm_snapshot", "evm_revert", "anvil_snapshot", "anvil_revert", "anvil_reset", "hardhat_reset"})
"""Going back in time invalidates what the cases name; left to `tests/e2e`."""
EDITS = ("setBalance", "setNonce", "setCode", "setStorageAt")
DEV_SHARE = 0.15
"""Each of these methods' turns: most of them wait for a block."""


def is_development(method: str) -> bool:
    """Tell whether a method is one of a chain for development."""
    return method.partition("_")[0] in DEVELOPMENT or method == "eth_sendTransaction"


def dev_templates(facts: Facts, timestamp: int) -> dict[str, list[list[object]]]:
    """Return method to valid argument lists; `timestamp` is the head's."""
    account, contract = facts.accounts[0], facts.contracts[0]
    targets = (account, contract, "0x" + "77" * 20)
    values: dict[str, list[list[object]]] = {
        "setBalance": [["0x0"], [hex(10**21)], [hex(2**200)]],
        "setNonce": [["0x0"], ["0x500"], [hex(2**64 - 2)]],
        "setCode": [["0x"], ["0x60016000f3"], ["0x" + "5b" * 3_000], ["0xef0100" + "11" * 20]],
        "setStorageAt": [["0x0", "0x" + "00" * 31 + "01"], ["0x" + "ff" * 32, "0x" + "ff" * 32]],
    }
    table: dict[str, list[list[object]]] = {
        "evm_mine": [[], [hex(timestamp + 1_000)], [{"blocks": 2}], [{"timestamp": timestamp + 2_000}]],
        "evm_increaseTime": [[1], ["0x3c"], [2**40]],
        "evm_setNextBlockTimestamp": [[timestamp + 500], [hex(timestamp + 5_000)], [1]],
        "anvil_autoImpersonateAccount": [[True], [False]],
        "eth_sendTransaction": [
            [{"from": account, "to": contract, "data": "0x01", "gas": "0xffff"}],
            [{"from": contract, "to": account, "value": "0x1", "gas": "0x5208"}],
            [{"from": account, "data": "0x6000600055600160005260206000f3"}],
        ],
    }
    for prefix in ("anvil", "hardhat"):
        table[f"{prefix}_mine"] = [["0x1"], ["0x2", "0x5"], []]
        table[f"{prefix}_impersonateAccount"] = [[target] for target in targets]
        table[f"{prefix}_stopImpersonatingAccount"] = [[target] for target in targets]
        for edit in EDITS:
            table[f"{prefix}_{edit}"] = [[target, *value] for target in targets for value in values[edit]]
    return table


class IpcClient:
    """Sends bodies over the node's Unix socket."""

    def __init__(self, path: Path, generator, rng, check, failed: type[Exception]) -> None:
        self._path = path
        self._generator = generator
        self._rng = rng
        self._check = check
        self._failed = failed
        self._number = 0
        self.outcomes: Counter[str] = Counter()

    async def connection(self, count) -> None:
        """Send bodies over one connection; `count` is told of each."""
        reader, writer = await asyncio.open_unix_connection(self._path, limit=LONGEST_LINE)
        try:
            for _ in range(BODIES_PER_CONNECTION):
                body = self._generator.body()
                goes_on = reads(body.data) and len(body.data) <= RpcLimits().body_max_bytes
                await (self._converse(reader, writer, body) if goes_on else self._end(reader, writer, body))
                count(body)
                if not goes_on:
                    return
        finally:
            writer.close()

    async def _converse(self, reader, writer, body) -> None:
        self._number += 1
        last = f"ipc-{self._number}"
        document = {"jsonrpc": "2.0", "id": last, "method": "net_version"}
        has_end = body.data.strip()[:1] in {b"{", b"["}
        between = self._rng.choice((b"", b"\n", b" \n\n")) if has_end else b"\n"
        writer.write(body.data + between + orjson.dumps(document))
        await writer.drain()
        wanted = {last, body.last_id} - {None}
        while wanted:
            try:
                line = await asyncio.wait_for(reader.readline(), 60)
            except TimeoutError:
                raise self._failed(f"no answer by the Unix socket for {wanted}, to {body.data[:3000]!r}") from None
            if not line.endswith(b"\n"):
                raise self._failed(f"the Unix socket ended after {body.data[:3000]!r}")
            self._take(line, body.data)
            answer = orjson.loads(line)
            for item in answer if isinstance(answer, list) else [answer]:
                wanted.discard(item.get("id") if isinstance(item.get("id"), str) else None)

    async def _end(self, reader, writer, body) -> None:
        """Send what may have no end, and read until the node hangs up."""
        try:
            writer.write(body.data + b"\n")
            writer.write_eof()
            while line := await asyncio.wait_for(reader.readline(), 60):
                self._take(line, body.data)
        except ConnectionError:
            self.outcomes["IPC cut off"] += 1

    def _take(self, line: bytes, sent: bytes) -> None:
        if not line.strip():
            raise self._failed(f"an empty line to {sent[:3000]!r}")
        self.outcomes[f"IPC {self._check(line, sent)}"] += 1
