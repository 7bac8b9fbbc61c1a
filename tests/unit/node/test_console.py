"""Which calls and blocks are executed again for what they say, and what of it is printed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cybermiles.chain.predeploys import GOVERNANCE
from cybermiles.errors import InvalidTransaction, StorageError
from cybermiles.execution.simulate import AccountOverride, BlockOverride, CallFailed
from cybermiles.node import console
from cybermiles.node.console import BlockConsole, CallConsole, Console
from cybermiles.rpc.call_jobs import Call, CreateAccessList, EstimateGas, JobExecutor
from cybermiles.state.kv import MemoryStore
from cybermiles.storage.schema import CODE
from cybermiles.types.events import BlockCommitted
from cybermiles.types.primitives import Address
from cybermiles.vm.backend import CallMessage
from cybermiles.vm.console import MARK

CONTRACT = Address(b"\x11" * 20)
SPEAKING = b"\x73" + MARK + b"\x50"


class Executor(JobExecutor):
    """Answers jobs with their names; what is said is one line for each job that listens."""

    def __init__(self):
        self.ran = []
        self.errors = {}

    async def run(self, job):
        self.ran.append(type(job))
        if (error := self.errors.get(type(job))) is not None:
            raise error
        if isinstance(job, CallConsole):
            return ["said"]
        if isinstance(job, BlockConsole):
            return [(job.block_hash, ["of a block"])]
        return type(job).__name__


class Log:
    def __init__(self):
        self.lines = []

    def info(self, event, **fields):
        self.lines.append((event, fields))

    warning = info


@pytest.fixture
def log(monkeypatch):
    monkeypatch.setattr(console, "log", log := Log())
    return log


def new(*, is_used):
    store = MemoryStore()
    if is_used:
        store.write({CODE + b"\x01" * 32: SPEAKING}, sync=False)
    return Console(executor := Executor(), store), executor


def message(to=CONTRACT, data=b""):
    return CallMessage(sender=CONTRACT, to=to, gas=100_000, data=data)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("is_used", "to", "data", "code", "listens"),
    [
        (False, CONTRACT, b"", None, False),
        (True, CONTRACT, b"", None, True),
        (True, GOVERNANCE, b"", None, False),
        (False, None, SPEAKING, None, True),
        (False, CONTRACT, b"", SPEAKING, True),
        (False, CONTRACT, b"", b"\x00", False),
    ],
    ids=["nothing speaks", "the chain may", "a system contract", "a creation", "an override", "a silent override"],
)
async def test_a_call_is_executed_again_only_where_it_may_say_something(log, is_used, to, data, code, listens) -> None:
    speaking, executor = new(is_used=is_used)
    overrides = {} if code is None else {CONTRACT: AccountOverride(code=code)}
    assert await speaking.call(message(to, data), 3, overrides, BlockOverride()) == "Call"
    assert executor.ran == [Call, *([CallConsole] if listens else [])]
    shown = None if to is None else "0x" + to.hex()
    assert log.lines == ([("console.log", {"text": "said", "call": "eth_call", "to": shown})] if listens else [])


@pytest.mark.asyncio
async def test_an_estimate_that_fails_is_printed_and_its_error_is_the_caller_s(log) -> None:
    speaking, executor = new(is_used=True)
    executor.errors[EstimateGas] = CallFailed(SimpleNamespace(failure=None, output=b""), 5)
    with pytest.raises(CallFailed):
        await speaking.estimate_gas(message(), 3, {})
    assert log.lines == [
        ("console.log", {"text": "said", "call": "eth_estimateGas", "to": "0x" + CONTRACT.hex()}),
    ]


@pytest.mark.asyncio
async def test_other_jobs_say_nothing_and_what_cannot_be_read_is_only_noted(log) -> None:
    speaking, executor = new(is_used=True)
    await speaking.create_access_list(message(), 3)
    assert executor.ran == [CreateAccessList]
    executor.errors[CallConsole] = StorageError("gone")
    assert await speaking.call(message(), 3, {}, BlockOverride()) == "Call"
    assert log.lines == [("console_unread", {"what": "CallConsole", "reason": "gone"})]


@pytest.mark.asyncio
async def test_blocks_are_listened_to_from_the_one_that_brought_code_that_speaks(log) -> None:
    speaking, executor = new(is_used=False)
    blocks = [block(height, data) for height, data in enumerate((b"", SPEAKING, b"", None), 1)]
    watching = speaking.watch(lambda: events(blocks))
    with pytest.raises(EndOfEvents):
        await watching
    assert executor.ran == [BlockConsole, BlockConsole]
    assert [fields["tx"] for _, fields in log.lines] == ["0x" + bytes([height] * 32).hex() for height in (2, 3)]


def test_a_block_that_was_taken_back_says_nothing() -> None:
    for there in (None, block(1, b"", block_hash=b"\x09" * 32)):
        source = SimpleNamespace(block=lambda _height, there=there: there)
        assert BlockConsole(1, b"\x01" * 32).run(source) == []


def test_a_call_that_cannot_begin_says_nothing() -> None:
    def refuse(*_args, **_options):
        raise InvalidTransaction("insufficient funds")

    simulation = SimpleNamespace(params=SimpleNamespace(compute_units_per_transaction=5), call=refuse)
    assert CallConsole(SimpleNamespace(simulation=lambda _source: simulation, message=message())).run(None) == []


class EndOfEvents(Exception):
    pass


async def events(blocks):
    for entry in blocks:
        yield BlockCommitted(entry, ())
    raise EndOfEvents


def block(height, data, block_hash=None):
    transactions = () if data is None else (SimpleNamespace(data=data, hash=bytes([height] * 32)),)
    return SimpleNamespace(height=height, hash=block_hash or bytes([height] * 32), transactions=transactions)
