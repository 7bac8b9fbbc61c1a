"""Mutated requests against a real node, by HTTP, WebSocket and Unix socket.

    python -m tests.fuzz.rpc --cases 1000000 [--seed N] [--dev]

Starts `cmt devnet` in a directory of its own, gives it a few blocks, and sends what `rpc_cases` makes, over several
connections of each kind at once; one worker sends HTTP that is none. The run passes when the process lives, every answer
is a JSON-RPC answer without a trace of the node's insides, no answer and no line of the log is an internal error, and
the processes' memory at the end is at most 50 MB over what it was after the first tenth. With --dev a share of the
requests are `evm_*`, `anvil_*` and `hardhat_*`, which make blocks and edit accounts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import aiohttp
import orjson

from cybermiles.rpc.config import RpcLimits
from tests.fakes.rpc import sign_transaction
from tests.fuzz.rpc_cases import Facts, Generator
from tests.fuzz.rpc_local import DEV_SHARE, TAKE_BACK, IpcClient, dev_templates, is_development

MAX_GROWTH_BYTES = 50 << 20
INSIDES = re.compile(
    rb"Traceback|site-packages|\.py\b|/home/|/tmp/|/usr/|<class |NoneType| object at 0x|Error\(|pydantic|orjson"
)
"""What no answer says about the node."""
BAD_LINES = re.compile(r"rpc_handler_failed|Traceback|\"level\": ?\"(error|critical)\"|ERROR")
KEYS = (
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
)
LOGGING_CODE = "60aa60206000a160006000600060006000335af15060015460010160015500"
NAMESPACES = "eth,net,web3,txpool,cmt,debug,ots"


class Failed(Exception):
    """An answer or the node broke a promise."""


def check(answer: bytes, sent: bytes) -> str:
    """Return the outcome of one answer object or batch. Raises Failed with both where it is none."""
    try:
        document = orjson.loads(answer)
        items = document if isinstance(document, list) else [document]
        if not items:
            raise Failed("an empty batch as answer")
        codes = [_check_item(item) for item in items]
    except (Failed, orjson.JSONDecodeError) as error:
        raise Failed(f"{error}\nanswer {answer[:2000]!r}\nto {sent[:3000]!r}") from None
    if INSIDES.search(answer):
        for item in items:
            if "error" in item and INSIDES.search(orjson.dumps(item["error"])):
                shown = orjson.dumps(item["error"])
                hit = INSIDES.search(shown).group()
                if hit not in sent:
                    raise Failed(f"the node's insides show: {shown!r}\nto {sent[:3000]!r}")
    return str(codes[0]) if len(codes) == 1 else "batch"


def _check_item(item) -> int | str:
    if "method" in item and item["method"] == "eth_subscription":
        return "event"
    if item.get("jsonrpc") != "2.0" or "id" not in item or ("result" in item) == ("error" in item):
        raise Failed("no JSON-RPC answer")
    if "result" in item:
        return "ok"
    error = item["error"]
    if type(error.get("code")) is not int or not isinstance(error.get("message"), str) or not error["message"]:
        raise Failed("no JSON-RPC error")
    if error["code"] == -32603:
        raise Failed(f"internal error in the answer to {item['id']!r}")
    return error["code"]


async def gather_facts(ask) -> Facts:
    """Return what a node has, asked by `ask(method, *params)`."""
    height = int(await ask("eth_blockNumber"), 16)
    blocks = [await ask("eth_getBlockByNumber", hex(h), True) for h in range(max(0, height - 5), height + 1)]
    transactions = [tx for block in blocks for tx in block["transactions"]]
    contracts = [tx["to"] for tx in transactions if tx["to"]]
    raws = [sign_transaction(nonce, key=bytes.fromhex(KEYS[1])).raw for nonce in (0, 1, 5, 500)]
    raws += [sign_transaction(0, key=bytes.fromhex(KEYS[1]), data=bytes(2_000), gas_limit=100_000).raw]
    return Facts(
        height=height,
        block_hashes=tuple(block["hash"] for block in blocks),
        transactions=tuple(tx["hash"] for tx in transactions),
        raw_transactions=tuple("0x" + raw.hex() for raw in raws),
        accounts=tuple({tx["from"]: None for tx in transactions}),
        contracts=tuple(dict.fromkeys(contracts)) or ("0x" + "c0" * 20,),
        topics=("0x" + "00" * 31 + "aa",),
    )


class Run:
    """One run against one node."""

    def __init__(self, url: str, node: Node, generator: Generator, rng: random.Random, cases: int) -> None:
        self.url, self.port, self.ipc = url, node.port, node.ipc
        self.generator, self.rng = generator, rng
        self.cases, self.done = cases, 0
        self.outcomes: Counter[str] = Counter()
        self.at_tenth = asyncio.Event()

    def count(self, body) -> None:
        self.done += body.cases
        if self.done >= self.cases // 10:
            self.at_tenth.set()

    async def by_http(self, session: aiohttp.ClientSession) -> None:
        """Post bodies."""
        while self.done < self.cases:
            body = self.generator.body()
            path = "/paid" if self.rng.random() < 0.1 else "/"
            headers = {"Content-Type": "application/json"}
            async with session.post(self.url + path, data=body.data, headers=headers) as response:
                answer = await response.read()
            if answer:
                self.outcomes[f"HTTP {check(answer, body.data)}"] += 1
            elif body.last_id is not None:
                raise Failed(f"no answer, status {response.status}, to {body.data[:4000]!r}")
            self.count(body)

    async def by_websocket(self, session: aiohttp.ClientSession) -> None:
        """Send bodies as messages, each followed by a request whose answer is waited for."""
        number = 0
        while self.done < self.cases:
            async with session.ws_connect(self.url, max_msg_size=0) as socket:
                for _ in range(200):
                    body = self.generator.body()
                    number += 1
                    last = f"ws-{number}"
                    await (socket.send_bytes if self.rng.random() < 0.3 else self._text(socket))(body.data)
                    await socket.send_json({"jsonrpc": "2.0", "id": last, "method": "net_version"})
                    answered = await self._read_until(socket, {last, body.last_id} - {None}, body.data)
                    self.count(body)
                    if not answered:
                        break

    @staticmethod
    def _text(socket):
        async def send(data: bytes) -> None:
            try:
                await socket.send_str(data.decode())
            except UnicodeDecodeError:
                await socket.send_bytes(data)

        return send

    async def _read_until(self, socket, wanted: set[str], sent: bytes) -> bool:
        """Check answers until those wanted are there; False where the connection ended because of a large message."""
        while wanted:
            message = await asyncio.wait_for(socket.receive(), 60)
            is_end = message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
            if len(sent) > RpcLimits().body_max_bytes and is_end:
                self.outcomes["WebSocket too large"] += 1
                return False
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise Failed(f"the WebSocket ended with {message!r} after {sent[:3000]!r}")
            answer = message.data.encode("utf-8", "surrogatepass")
            self.outcomes[f"WebSocket {check(answer, sent)}"] += 1
            document = orjson.loads(answer)
            for item in document if isinstance(document, list) else [document]:
                wanted.discard(item.get("id") if isinstance(item.get("id"), str) else None)
        return True

    async def by_ipc(self) -> None:
        """Send bodies as documents over the Unix socket."""
        client = IpcClient(self.ipc, self.generator, self.rng, check, Failed)
        while self.done < self.cases:
            await client.connection(self.count)
        self.outcomes.update(client.outcomes)

    async def by_garbage(self) -> None:
        """Send what is no HTTP, or hardly."""
        while self.done < self.cases:
            data = http_garbage(self.rng)
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            try:
                writer.write(data)
                if self.rng.random() < 0.5:
                    writer.write_eof()
                answer = await asyncio.wait_for(reader.read(65_536), 0.5)
                self.outcomes[f"garbage {check_http(answer, data)}"] += 1
            except TimeoutError:
                self.outcomes["garbage waited for more"] += 1
            except OSError:
                self.outcomes["garbage cut off"] += 1
            finally:
                writer.close()
            self.done += 1


def check_http(answer: bytes, sent: bytes) -> str:
    """Return the status of an HTTP answer. Raises Failed where it is none, or shows the node's insides."""
    if not answer:
        return "closed"
    head, _, body = answer.partition(b"\r\n\r\n")
    if not re.match(rb"HTTP/\d\.\d \d\d\d ", head) or INSIDES.search(answer):
        raise Failed(f"answer {answer!r}\nto {sent!r}")
    if head[9:12] in (b"100", b"101", b"204"):
        return head[9:12].decode()
    if b"HEAD" in sent:
        return head[9:12].decode()
    if b"application/json" in head:
        length = re.search(rb"(?i)content-length: (\d+)", head)
        check(body[: int(length[1])] if length else body, sent)
    elif not body.startswith((b"CyberMiles JSON-RPC", b"ok")):
        raise Failed(f"answer {answer!r}\nto {sent!r}")
    return head[9:12].decode()


def http_garbage(rng: random.Random) -> bytes:
    """Return bytes for a socket."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
    verb = rng.choice(
        (b"POST", b"POST", b"POST", b"GET", b"PUT", b"HEAD", b"OPTIONS", b"TRACE", b"CONNECT", b"G\x00T", b"", b"PRI")
    )
    path = rng.choice(
        (b"/", b"/", b"/paid", b"/../..", b"/%00", b"*", b"http://x/", b"/" + b"a" * 9_000, b"//", b"/?a=b&c", b"")
    )
    version = rng.choice((b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b"", b"HTTP/1.1\x00"))
    headers = [b"Host: localhost", b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
    odd = (
        b"Content-Length: -1",
        b"Content-Length: 99999999999999999999",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Content-Encoding: gzip",
        b"Expect: 100-continue",
        b"Upgrade: websocket\r\nConnection: Upgrade",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x",
        b"Upgrade: h2c\r\nConnection: Upgrade",
        b"X: " + b"y" * 9_000,
        b"\r\n".join(b"A%d: b" % i for i in range(300)),
        b"Host: evil.example",
        b"Host: \xff",
        b"Origin: null",
        b"No colon here",
        b" folded: yes",
        b"Bad\x00Name: x",
        b"X-Forwarded-For: 1.2.3.4, ::1, x",
        b"Authorization: Bearer x",
        b"Connection: close",
    )
    headers += rng.sample(odd, rng.randrange(3))
    rng.shuffle(headers)
    if rng.random() < 0.2:
        headers.pop()
    chunks = rng.choice((body, b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), b"zz\r\n", b"5\r\nhello", b""))
    data = b" ".join((verb, path, version)) + b"\r\n" + b"\r\n".join(headers) + b"\r\n\r\n" + chunks
    match rng.randrange(8):
        case 0:
            return data[: rng.randrange(len(data) + 1)]
        case 1:
            at = rng.randrange(len(data))
            return data[:at] + rng.randbytes(3) + data[at + 3 :]
        case 2:
            return data * rng.randrange(2, 5)
        case 3:
            return rng.choice((rng.randbytes(200), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\r\n" * 50))
        case _:
            return data


def tree_bytes(pid: int) -> int:
    """Return what a process and its children occupy."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() + sum(tree_bytes(int(child)) for child in children)


class Node:
    """`cmt devnet` for the run."""

    def __init__(self, directory: str, port: int) -> None:
        self.log = Path(directory) / "log"
        self.port = port
        self._home = Path(directory) / "home"
        self.ipc = self._home / "cmt.ipc"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CMT_")}
        environment |= {"CMT_RPC__NAMESPACES": NAMESPACES, "CMT_LOG__FORMAT": "json"}
        arguments = ("-m", "cybermiles", "devnet", "--home", str(self._home), "--port", str(self.port))
        with self.log.open("w") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, "--no-empty-blocks", stdout=log, stderr=log, env=environment
            )


async def populate(ask) -> None:
    """Make a few blocks with transfers, a contract and its logs."""
    key = bytes.fromhex(KEYS[0])
    code = bytes.fromhex(LOGGING_CODE)
    init = b"\x60" + bytes([len(code)]) + bytes.fromhex("600c60003960") + bytes([len(code)]) + b"\x60\x00\xf3" + code
    created = await _send(ask, sign_transaction(0, key=key, to=None, data=init, gas_limit=400_000, value=0))
    contract = bytes.fromhex(created["contractAddress"][2:])
    for nonce in (1, 2, 3):
        await _send(ask, sign_transaction(nonce, key=key, to=contract, gas_limit=200_000, value=0))


async def _send(ask, transaction):
    tx_hash = await ask("eth_sendRawTransaction", "0x" + transaction.raw.hex())
    while (receipt := await ask("eth_getTransactionReceipt", tx_hash)) is None:
        await asyncio.sleep(0.05)
    if receipt["status"] != "0x1":
        raise Failed(f"a transaction of the preparation failed: {receipt}")
    return receipt


async def fuzz(cases: int, seed: int, port: int, report=print, *, dev: bool = False) -> Counter[str]:
    """Run, report, and return the outcomes. Raises Failed."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="cmt-fuzz-") as directory:
        node = Node(directory, port)
        await node.start()
        url = f"http://127.0.0.1:{port}"
        timeout = aiohttp.ClientTimeout(total=120)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session:
                run = await _prepare(node, url, session, rng, cases, dev=dev)
                baseline, began = await _drive(run, node, session)
            await _judge(run, node, baseline, began, seed, report)
        except BaseException:
            report("\n".join(line for line in node.log.read_text().splitlines() if BAD_LINES.search(line))[-20_000:])
            raise
        finally:
            if node.process.returncode is None:
                node.process.send_signal(signal.SIGTERM)
            code = await node.process.wait()
        if code != 0:
            raise Failed(f"the node ended with {code}")
        return run.outcomes


async def _prepare(node: Node, url: str, session, rng, cases: int, *, dev: bool) -> Run:
    async def ask(method, *params):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        async with session.post(url, json=body) as response:
            answer = await response.json()
        if "error" in answer:
            raise Failed(f"{method}: {answer['error']}")
        return answer["result"]

    while True:
        if node.process.returncode is not None:
            raise Failed(f"the node did not start:\n{node.log.read_text()[-3000:]}")
        try:
            await ask("eth_chainId")
            break
        except aiohttp.ClientError:
            await asyncio.sleep(0.1)
    await populate(ask)
    served = [method["name"] for method in (await ask("rpc_discover"))["methods"]]
    methods = [name for name in served if name not in TAKE_BACK and (dev or not is_development(name))]
    facts, head = await gather_facts(ask), await ask("eth_getBlockByNumber", "latest", False)
    more = dev_templates(facts, int(head["timestamp"], 16))
    rare = {name: DEV_SHARE for name in methods if is_development(name)}
    return Run(url, node, Generator(rng, methods, facts, more=more, rare=rare), rng, cases)


async def _drive(run: Run, node: Node, session) -> tuple[int, float]:
    began = time.monotonic()

    async def baseline() -> int:
        await run.at_tenth.wait()
        return tree_bytes(node.process.pid)

    async with asyncio.TaskGroup() as tasks:
        size = tasks.create_task(baseline())
        for _ in range(3):
            tasks.create_task(run.by_http(session))
            tasks.create_task(run.by_websocket(session))
        tasks.create_task(run.by_ipc())
        tasks.create_task(run.by_garbage())
    return size.result(), began


async def _judge(run: Run, node: Node, baseline: int, began: float, seed: int, report) -> None:
    for outcome, count in run.outcomes.most_common():
        report(f"{count:9} {outcome}")
    size = tree_bytes(node.process.pid)
    report(f"{run.done} cases in {time.monotonic() - began:.0f} s from seed {seed}")
    report(f"resident: {baseline >> 20} MB after a tenth, {size >> 20} MB at the end")
    lines = node.log.read_text().splitlines()
    bad = next((number for number, line in enumerate(lines) if BAD_LINES.search(line)), None)
    if bad is not None:
        raise Failed("in the node's log:\n" + "\n".join(lines[bad : bad + 40]))
    if size - baseline > MAX_GROWTH_BYTES:
        raise Failed("memory grew")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=28_545)
    parser.add_argument("--dev", action="store_true", help="with the methods of a chain for development")
    options = parser.parse_args()
    asyncio.run(fuzz(options.cases, options.seed, options.port, dev=options.dev))


if __name__ == "__main__":
    main()
