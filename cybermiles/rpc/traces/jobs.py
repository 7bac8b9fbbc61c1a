"""Traces as jobs: what runs in the executor, and comes back as the bytes of the answer.

A trace over the answer's limit is abandoned as soon as it is, so that neither time nor memory grows with what nobody
may have.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cybermiles.errors import InvariantViolation
from cybermiles.execution.simulate import BlockOverride, Simulation
from cybermiles.rpc.jsonrpc import SERVER_ERROR, RawJson, RpcError
from cybermiles.rpc.quantities import encode_data, encode_word
from cybermiles.rpc.traces.bounds import bounded
from cybermiles.rpc.traces.flat_calls import TracePlace
from cybermiles.rpc.traces.options import make_tracer
from cybermiles.state.trie import slot_key
from cybermiles.state.walk import leaves
from cybermiles.types.rlp import as_int, decode
from cybermiles.vm.tracing import ByteBudget

if TYPE_CHECKING:
    from cybermiles.execution.replay import Replay
    from cybermiles.rpc.jobs import JobSource
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import StateOverrides
    from cybermiles.rpc.traces.options import Rendered, TraceOptions
    from cybermiles.types.primitives import Address
    from cybermiles.vm.backend import CallMessage
    from cybermiles.vm.tracing import Tracer

_HASH_BYTES = 64 + 30
"""What a transaction's hash and its braces take in the trace of a block."""

_ADVICE = ": ask for less of it, as by onlyTopCall, disableStack, or limit"
_GUESSED_SLOTS = 256
"""A trie holds hashes of slots: only those of a contract's first variables, and what a block wrote, can be named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceTransaction:
    """One transaction of a committed block."""

    height: int
    index: int
    options: TraceOptions
    max_bytes: int

    def run(self, source: JobSource) -> RawJson:
        """Return the trace. Raises RpcError where it is too large, StateUnavailable where the state is pruned."""
        with bounded(self.max_bytes, _ADVICE):
            replay = _replay(source, self.height)
            replay.advance(self.index)
            tracer, rendered = make_tracer(
                self.options, ByteBudget(self.max_bytes), _place(source, replay, self.height, self.index)
            )
            for _ in replay.trace(lambda _index: tracer, last=self.index + 1):
                pass
            return RawJson(rendered.render())


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceBlock:
    """Every transaction of a committed block."""

    height: int
    options: TraceOptions
    max_bytes: int

    def run(self, source: JobSource) -> RawJson:
        """Return `{txHash, result}` of each. Raises as `TraceTransaction.run`; the limit is of all together."""
        with bounded(self.max_bytes, _ADVICE):
            replay = _replay(source, self.height)
            budget = ByteBudget(self.max_bytes)
            made: dict[int, Rendered] = {}

            def tracer_of(index: int) -> Tracer:
                budget.take(_HASH_BYTES)
                tracer, made[index] = make_tracer(self.options, budget, _place(source, replay, self.height, index))
                return tracer

            parts = []
            for index, _ in replay.trace(tracer_of):
                name = encode_data(replay.transactions[index].hash).encode()
                parts.append(b'{"txHash":"%b","result":%b}' % (name, made.pop(index).render()))
            return RawJson(b"[%b]" % b",".join(parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceCall:
    """A call on the state after a committed block, or in the middle of one."""

    message: CallMessage
    height: int
    options: TraceOptions
    max_bytes: int
    overrides: StateOverrides = field(default_factory=dict)
    block_overrides: BlockOverride = field(default_factory=BlockOverride)
    transactions: int | None = None
    """How many of the block have run before; None: all, and the end of the block."""

    def run(self, source: JobSource) -> RawJson:
        """Return the trace. Raises as `TraceTransaction.run`, and InvalidTransaction where the call cannot start."""
        header = source.header(self.height)
        if header is None:
            raise InvariantViolation(f"block {self.height} is not there any more")
        with bounded(self.max_bytes, _ADVICE):
            params, state = source.params_at(self.height), source.state(self.height)
            if self.transactions is not None:
                replay = _replay(source, self.height)
                replay.advance(self.transactions)
                state = replay.state()
            simulation = Simulation(
                chain=source.constants,
                params=params,
                header=header,
                state=state,
                overrides=self.overrides,
                block=self.block_overrides,
            )
            tracer, rendered = make_tracer(self.options, ByteBudget(self.max_bytes))
            simulation.call(self.message, compute_units=params.compute_units_per_transaction, tracer=tracer)
            return RawJson(rendered.render())


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageRange:
    """A contract's storage after the first transactions of a block, in the order of the hashed keys."""

    height: int
    transactions: int
    """How many of the block have run."""
    address: Address
    start: bytes
    """First hashed key, or the beginning of one."""
    count: int

    def run(self, source: JobSource) -> Json:
        """Return slots by hashed key, and the next key. Raises StateUnavailable where the state is pruned."""
        replay = _replay(source, self.height)
        replay.advance(self.transactions)
        state = replay.state()
        account = state.account(self.address)
        shown: dict[str, Json] = {}
        if account is None:
            return {"storage": shown, "nextKey": None}
        guessed = (*range(_GUESSED_SLOTS), *state.written.get(self.address, ()))
        names = {slot_key(slot): encode_word(slot) for slot in guessed}
        for key, value in leaves(state, self.address, account.storage_root, self.start):
            if len(shown) == self.count:
                return {"storage": shown, "nextKey": encode_data(key)}
            shown[encode_data(key)] = {"key": names.get(key), "value": encode_word(as_int(decode(value)))}
        return {"storage": shown, "nextKey": None}


def _replay(source: JobSource, height: int) -> Replay:
    """Return a replay of a committed block. Raises RpcError for block 0, StateUnavailable where states are pruned."""
    if height == 0:
        raise RpcError(SERVER_ERROR, "genesis is not traceable")
    return source.replay(height)


def _place(source: JobSource, replay: Replay, height: int, index: int) -> TracePlace:
    header = source.header(height)
    block_hash = None if header is None else header.hash
    return TracePlace(block_hash, height, replay.transactions[index].hash, index, replay.logs)
