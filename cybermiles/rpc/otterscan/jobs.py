"""The heavy reads of the `ots` namespace as jobs; each answers with finished JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from cybermiles.errors import InvariantViolation
from cybermiles.execution.replay import calls_of
from cybermiles.rpc.jsonrpc import RawJson
from cybermiles.rpc.otterscan.search import creation_height, hash_of_nonce, touching
from cybermiles.rpc.quantities import encode_data
from cybermiles.rpc.serializers import Place
from cybermiles.rpc.traces.bounds import bounded
from cybermiles.vm.tracing import CREATIONS, ByteBudget, CallKind, CallRecorder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cybermiles.rpc.jobs import JobSource
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.serializers import Serializer
    from cybermiles.types.primitives import Address
    from cybermiles.vm.tracing import CallNode

SELECTOR_CHARS = 2 + 2 * 4
"""A function's selector as DATA."""
LAST_PRECOMPILE = 0x1FF
"""Calls of addresses up to here are no contract's."""
_OPERATIONS = {CallKind.CALL: 0, CallKind.SELFDESTRUCT: 1, CallKind.CREATE: 2, CallKind.CREATE2: 3}
_WITHOUT_VALUE = (CallKind.STATICCALL, CallKind.DELEGATECALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionCalls:
    """The calls of one committed transaction, in order."""

    height: int
    index: int
    max_bytes: int
    operations: bool
    """Only those that move coins or make contracts, and not the transaction's own."""

    def run(self, source: JobSource) -> RawJson:
        """Return the list. Raises RpcError where it is too large, StateUnavailable where the state is pruned."""
        root = _calls(source, self.height, self.index, self.max_bytes)
        render = _operations if self.operations else _entries
        return RawJson(orjson.dumps(list(render(root))))


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockTransactions:
    """One page of a block's transactions with their receipts; page 0 ends with the block's last."""

    height: int
    page: int
    page_size: int
    serializer: Serializer

    def run(self, source: JobSource) -> RawJson:
        """Return the page."""
        header = source.header(self.height)
        if header is None:
            raise InvariantViolation(f"block {self.height} is not there any more")
        count = source.transaction_count(self.height)
        last = max(count - self.page * self.page_size, 0)
        indices = range(max(last - self.page_size, 0), last)
        transactions, receipts = _rendered(source, self.height, indices, self.serializer)
        for shown in transactions:
            shown["input"] = str(shown["input"])[:SELECTOR_CHARS]
        whole = self.serializer.block(header, list(transactions), size=source.block_size(self.height))
        return RawJson(
            orjson.dumps({"fullblock": {**whole, "logsBloom": None, "transactionCount": count}, "receipts": receipts})
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchByAddress:
    """Transactions of an address, the newest first, before or after a block."""

    address: Address
    start: int
    """The block that is not searched; 0: from the chain's end in this direction."""
    forward: bool
    page_size: int
    scan_max: int
    serializer: Serializer

    def run(self, source: JobSource) -> RawJson:
        """Return one page. Raises RpcError where the bound is met before the first is found."""
        head = source.head_height()
        if self.forward:
            heights = range(self.start + 1, head + 1)
        else:
            heights = range(min(self.start - 1, head) if self.start else head, 0, -1)
        page = touching(source, self.address, heights, self.page_size, self.scan_max)
        transactions: list[dict[str, Json]] = []
        receipts: list[dict[str, Json]] = []
        for height, indices in reversed(page.found):
            shown, own = _rendered(source, height, indices[::-1], self.serializer)
            transactions += shown
            receipts += own
        begins = not self.start
        answer = {
            "txs": transactions,
            "receipts": receipts,
            "firstPage": page.is_complete if self.forward else begins,
            "lastPage": begins if self.forward else page.is_complete,
        }
        return RawJson(orjson.dumps(answer))


@dataclass(frozen=True, slots=True, kw_only=True)
class HashOfNonce:
    """The transaction that used an account's nonce."""

    sender: Address
    nonce: int
    scan_max: int

    def run(self, source: JobSource) -> str | None:
        """Return its hash, None where there is none."""
        found = hash_of_nonce(source, self.sender, self.nonce, self.scan_max)
        return None if found is None else encode_data(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractCreator:
    """Who created a contract, and in which transaction."""

    address: Address
    max_bytes: int

    def run(self, source: JobSource) -> Json:
        """Return hash and creator, None for an account without code and for a contract of the genesis document."""
        height = creation_height(source, self.address)
        block = source.block(height) if height else None
        if height is None or block is None:
            return None
        recorders: list[CallRecorder] = []

        def tracer_of(_index: int) -> CallRecorder:
            recorders.append(CallRecorder(ByteBudget(self.max_bytes)))
            return recorders[-1]

        with bounded(self.max_bytes):
            for index, _ in source.replay(height).trace(tracer_of):
                root = recorders.pop().root
                for node, undone in () if root is None else _walk(root):
                    if node.created == self.address and not undone:
                        shown = encode_data(block.transactions[index].hash)
                        return {"hash": shown, "creator": encode_data(node.sender)}
        return None


def _calls(source: JobSource, height: int, index: int, max_bytes: int) -> CallNode:
    with bounded(max_bytes):
        return calls_of(source.replay(height), index, max_bytes=max_bytes)


def _walk(root: CallNode) -> Iterator[tuple[CallNode, bool]]:
    """Yield every call in order, and whether it was undone by its own failure or one above it."""
    waiting = [(root, root.error is not None)]
    while waiting:
        node, undone = waiting.pop()
        yield node, undone
        waiting.extend((call, undone or call.error is not None) for call in reversed(node.calls))


def _entries(root: CallNode) -> Iterator[Json]:
    for node, _ in _walk(root):
        if node.depth and int.from_bytes(node.to) <= LAST_PRECOMPILE:
            continue
        yield {
            "type": node.kind.value,
            "depth": node.depth,
            "from": encode_data(node.sender),
            "to": encode_data(node.to),
            "value": None if node.value is None or node.kind in _WITHOUT_VALUE else hex(node.value),
            "input": encode_data(node.data),
            "output": encode_data(node.output),
        }


def _operations(root: CallNode) -> Iterator[Json]:
    for node, undone in _walk(root):
        kind = _OPERATIONS.get(node.kind)
        moves = node.value or node.kind in CREATIONS or node.kind is CallKind.SELFDESTRUCT
        if node.depth and not undone and kind is not None and moves:
            yield {
                "type": kind,
                "from": encode_data(node.sender),
                "to": encode_data(node.to),
                "value": hex(node.value or 0),
            }


def _rendered(
    source: JobSource, height: int, indices: Sequence[int], serializer: Serializer
) -> tuple[list[dict[str, Json]], list[dict[str, Json]]]:
    """Return transactions of a block, and their receipts without logs but with the block's time."""
    header = source.header(height)
    if header is None:
        return [], []
    transactions: list[dict[str, Json]] = []
    receipts: list[dict[str, Json]] = []
    time: dict[str, Json] = {"logs": None, "logsBloom": None, "timestamp": hex(header.timestamp)}
    for index in indices:
        transaction, placed, place = (
            source.transaction(height, index),
            source.outcome(height, index),
            Place(header, index),
        )
        if transaction is None or placed is None:
            raise InvariantViolation(f"transaction {index} of block {height} is not there any more")
        transactions.append(serializer.included(transaction, placed.outcome, place))
        receipts.append({**serializer.receipt(transaction, placed, place), **time})
    return transactions, receipts
