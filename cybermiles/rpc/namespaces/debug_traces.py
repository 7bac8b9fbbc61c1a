"""`debug_trace*` and `debug_storageRangeAt`: committed transactions run again, and calls, to see what they do inside.

Off by default like the whole namespace. Everything is a job for the executor and comes back as finished JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import DecodingError, InvalidTransaction
from cybermiles.execution.simulate import BlockOverride
from cybermiles.rpc.block_references import (
    AtHash,
    Tag,
    find_height,
    parse_block_hash,
    parse_block_number,
    parse_block_reference,
    state_height,
)
from cybermiles.rpc.jsonrpc import SERVER_ERROR, RpcError
from cybermiles.rpc.methods import Method, Param
from cybermiles.rpc.quantities import encode_data, parse_address, parse_count, parse_data, parse_hash
from cybermiles.rpc.schemas import overrides_parser, parse_block_override, parse_call
from cybermiles.rpc.traces.jobs import StorageRange, TraceBlock, TraceCall, TraceTransaction
from cybermiles.rpc.traces.options import TraceOptions, parse_trace_options
from cybermiles.types import rlp
from cybermiles.types.primitives import Hash32

if TYPE_CHECKING:
    from cybermiles.rpc.block_references import BlockReference
    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.jsonrpc import Json, RawJson
    from cybermiles.rpc.namespaces.eth_calls import EthCalls
    from cybermiles.rpc.ports import ChainReader, Executor, StateOverrides
    from cybermiles.rpc.schemas import CallObject
    from cybermiles.types.primitives import Address

HASH_BYTES = 32
"""Of a hashed storage key."""


class CallTraceOptions(NamedTuple):
    """What `debug_traceCall` takes beside a trace configuration."""

    trace: TraceOptions
    overrides: StateOverrides
    block_overrides: BlockOverride
    transactions: int | None
    """How many of the block have run before; None: the whole block."""


class DebugTraces:
    """The part of the debug namespace that executes."""

    def __init__(self, chain: ChainReader, executor: Executor, calls: EthCalls, limits: RpcLimits) -> None:
        self._chain = chain
        self._executor = executor
        self._calls = calls
        self._limits = limits

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        options = Param(parse_trace_options, default=TraceOptions())
        return (
            Method(
                name="debug_traceTransaction",
                handler=self.trace_transaction,
                params=(Param(parse_hash), options),
                weight=20,
            ),
            Method(
                name="debug_traceBlockByNumber",
                handler=self.trace_block,
                params=(Param(parse_block_number), options),
                weight=50,
            ),
            Method(
                name="debug_traceBlockByHash",
                handler=self.trace_block,
                params=(Param(parse_block_hash), options),
                weight=50,
            ),
            Method(
                name="debug_traceBlock",
                handler=self.trace_block,
                params=(Param(parse_encoded_block), options),
                weight=50,
            ),
            Method(
                name="debug_traceCall",
                handler=self.trace_call,
                params=(
                    Param(parse_call),
                    Param(parse_block_reference, default=Tag.LATEST),
                    Param(self._call_options, default=CallTraceOptions(TraceOptions(), {}, BlockOverride(), None)),
                ),
                weight=20,
            ),
            Method(
                name="debug_storageRangeAt",
                handler=self.storage_range,
                params=(
                    Param(parse_block_reference),
                    Param(parse_count),
                    Param(parse_address),
                    Param(_key_start),
                    Param(self._slot_count),
                ),
                weight=20,
            ),
            Method(name="debug_getBadBlocks", handler=self.bad_blocks),
        )

    async def trace_transaction(self, tx_hash: Hash32, options: TraceOptions) -> RawJson:
        """Return what a committed transaction did inside. Raises RpcError where there is no such transaction."""
        place = self._chain.locate_transaction(tx_hash)
        if place is None:
            raise RpcError(SERVER_ERROR, "transaction not found")
        height, index = place
        return await self._executor.run(
            TraceTransaction(height=height, index=index, options=options, max_bytes=self._limits.response_max_bytes)
        )

    async def trace_block(self, reference: BlockReference, options: TraceOptions) -> RawJson:
        """Return what each transaction of a block did inside, in order. Raises RpcError where there is no block."""
        if reference is Tag.PENDING:
            raise RpcError(SERVER_ERROR, "tracing the pending block is not supported: it has not been executed")
        height = find_height(self._chain, reference)
        if height is None:
            raise RpcError(SERVER_ERROR, f"block {_shown(reference)} not found")
        job = TraceBlock(height=height, options=options, max_bytes=self._limits.response_max_bytes)
        return await self._executor.run(job)

    async def trace_call(self, call: CallObject, reference: BlockReference, options: CallTraceOptions) -> RawJson:
        """Return what a call does inside. Raises RpcError on top of the pending block, as geth does."""
        if reference is Tag.PENDING:
            raise RpcError(SERVER_ERROR, "tracing on top of pending is not supported")
        message, height, overrides = await self._calls.prepare(call, reference, options.overrides)
        if options.transactions is not None:
            self._check_index(height, options.transactions)
        job = TraceCall(
            message=message,
            height=height,
            options=options.trace,
            max_bytes=self._limits.response_max_bytes,
            overrides=overrides,
            block_overrides=options.block_overrides,
            transactions=options.transactions,
        )
        try:
            return await self._executor.run(job)
        except InvalidTransaction as error:
            raise RpcError(SERVER_ERROR, f"tracing failed: {error}") from error

    async def storage_range(
        self, reference: BlockReference, index: int, address: Address, start: bytes, count: int
    ) -> Json:
        """Return a contract's storage in the middle of a block: after its first `index` transactions."""
        height = state_height(self._chain, reference)
        self._check_index(height, index)
        return await self._executor.run(
            StorageRange(height=height, transactions=index, address=address, start=start, count=count)
        )

    def bad_blocks(self) -> Json:
        """Return nothing: an invalid proposal is voted down and not kept, and no other block becomes known."""
        return []

    def _check_index(self, height: int, index: int) -> None:
        size = self._chain.transaction_count(height)
        if index > size:
            raise RpcError(SERVER_ERROR, f"transaction index {index} out of range for block {height}, which has {size}")

    def _slot_count(self, value: Json) -> int:
        count, limit = parse_count(value), self._limits.storage_values_max_slots
        if count > limit:
            raise ValueError(f"{count} slots, at most {limit} are allowed (rpc.storage_values_max_slots)")
        return count

    def _call_options(self, value: Json) -> CallTraceOptions:
        options = parse_trace_options(value)
        given = {name.lower(): entry for name, entry in value.items()} if isinstance(value, dict) else {}
        state, block, index = given.get("stateoverrides"), given.get("blockoverrides"), given.get("txindex")
        return CallTraceOptions(
            trace=options,
            overrides={} if state is None else overrides_parser(self._limits)(state),
            block_overrides=BlockOverride() if block is None else parse_block_override(block),
            transactions=None if index is None else parse_count(index),
        )


def _shown(reference: BlockReference) -> str:
    return encode_data(reference.block_hash) if isinstance(reference, AtHash) else f"#{reference}"


def parse_encoded_block(value: Json) -> AtHash:
    """Return which block an encoding is, as `debug_getRawBlock` gives it: its header names it."""
    try:
        parts = rlp.as_list(rlp.decode(parse_data(value)))
        header = rlp.as_list(parts[0] if parts else [])
    except DecodingError as error:
        raise ValueError(f"could not decode block: {error}") from None
    return AtHash(Hash32(keccak256(rlp.encode(header))))


def _key_start(value: Json) -> bytes:
    start = parse_data(value)
    if len(start) > HASH_BYTES:
        raise ValueError(f"a key of at most {HASH_BYTES} bytes is expected")
    return start
