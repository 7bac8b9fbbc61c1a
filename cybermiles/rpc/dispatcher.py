"""From a body to its answer: finds the method, parses its arguments, runs it, words its error.

    handle(body) ─► jsonrpc.decode ─► for each request: Method ─► arguments ─► handler ─► encode
                                        └─ neighbours of one batched method go together

This module holds the only `except Exception` of the RPC: whatever a handler raises, the caller gets a
JSON-RPC error, and one that is this node's fault is logged in full and answered without detail.
"""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import TYPE_CHECKING, Any

from cybermiles.errors import CybermilesError
from cybermiles.rpc.absent_methods import not_served
from cybermiles.rpc.errors import to_rpc_error
from cybermiles.rpc.jobs import CALLER
from cybermiles.rpc.jsonrpc import (
    INTERNAL_ERROR,
    LIMIT_EXCEEDED,
    TIMEOUT,
    Rejected,
    Request,
    RpcError,
    decode,
    encode_error,
    encode_result,
    join_batch,
    response_too_large,
)
from cybermiles.rpc.pacing import Turn
from cybermiles.runtime.logging import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.methods import Context, Method
    from cybermiles.rpc.ports import Observer

log = get_logger("rpc")

BYTES_PER_WEIGHT = 64 * 1024
"""A body of this size costs its caller as much as a light request, whatever is in it: it has to be parsed."""


class Dispatcher:
    """Answers bodies. Has no state but its table."""

    def __init__(
        self,
        methods: Iterable[Method],
        *,
        limits: RpcLimits,
        observer: Observer | None = None,
    ) -> None:
        self._methods = {method.name: method for method in methods}
        self._limits = limits
        self._observer = observer

    @property
    def method_names(self) -> tuple[str, ...]:
        """Every served method, sorted."""
        return tuple(sorted(self._methods))

    async def handle(self, body: bytes, context: Context) -> bytes | None:
        """Return the answer to a body, None where only notifications were in it. Never raises."""
        CALLER.set(context.remote)
        try:
            self._spend(len(body) // BYTES_PER_WEIGHT, context)
            message = decode(body, self._limits)
        except RpcError as error:
            return encode_error(None, self._charged(error, context))
        if message.is_batch:
            return await self._batch(message.items, context)
        return await self._single(message.items[0], context)

    async def _batch(self, items: list[Request | Rejected], context: Context) -> bytes | None:
        answers: list[bytes] = []
        size = 0
        deadline, turn = _now() + self._limits.batch_timeout_seconds, Turn()
        for name, group in groupby(items, key=self._batched_name):
            neighbours = list(group)
            if name is not None and len(neighbours) > 1:
                found = await self._together(self._methods[name], neighbours, context)
                answers += found
                size += sum(map(len, found))
                continue
            for item in neighbours:
                refusal = self._refuse_in_batch(item, size, deadline)
                answer = await self._single(item, context) if refusal is None else refusal
                if answer is not None:
                    answers.append(answer)
                    size += len(answer)
                await turn.share()
        return join_batch(answers) if answers else None

    def _batched_name(self, item: Request | Rejected) -> str | None:
        """Name the method of an item that goes together with its neighbours."""
        if isinstance(item, Rejected):
            return None
        method = self._methods.get(item.method)
        return None if method is None or method.batch_handler is None else method.name

    def _refuse_in_batch(self, item: Request | Rejected, size: int, deadline: float) -> bytes | None:
        """Return the error for an item whose batch has used up its time or its bytes."""
        limits = self._limits
        if size > limits.response_max_bytes:
            return encode_error(item.id, response_too_large(size, limits.response_max_bytes))
        if _now() > deadline:
            error = _timed_out(limits.batch_timeout_seconds, "rpc.batch_timeout_seconds")
            return encode_error(item.id, error)
        return None

    async def _single(self, item: Request | Rejected, context: Context) -> bytes | None:
        if isinstance(item, Rejected):
            return encode_error(item.id, self._charged(item.error, context))
        started = _now()
        method = self._methods.get(item.method)
        try:
            if method is None:
                raise self._charged(not_served(item.method), context)
            result: Json | Exception = await self._run(method, item.params, context)
        except Exception as error:  # noqa: BLE001  (the one place where every exception ends)
            result = error
        answer = self._encode(item, result)
        self._observe(method, result, started)
        return answer

    async def _run(self, method: Method, params: list[Json], context: Context) -> Json:
        self._spend(method.weight, context, method.name)
        arguments = method.arguments(params)
        if method.with_context:
            arguments.insert(0, context)
        result: Any = method.handler(*arguments)
        if method.is_async:
            seconds = self._limits.handler_timeout_seconds
            try:
                async with asyncio.timeout(seconds):
                    result = await result
            except TimeoutError:
                raise _timed_out(seconds, "rpc.handler_timeout_seconds") from None
        answer: Json = result
        return answer

    def _spend(self, weight: int, context: Context, method: str = "") -> None:
        """Take from the caller's budget. Raises RpcError where it is used up."""
        if context.budget is not None and not context.budget.spend(weight, method):
            raise RpcError(LIMIT_EXCEEDED, f"too many requests: {context.budget.refusal}")

    def _charged(self, error: RpcError, context: Context) -> RpcError:
        """Return the error for what reached no method, which costs the caller as a request does."""
        if error.code == LIMIT_EXCEEDED:
            return error
        try:
            self._spend(1, context)
        except RpcError as refused:
            return refused
        return error

    async def _together(self, method: Method, items: Sequence[Request | Rejected], context: Context) -> list[bytes]:
        """Carry out neighbouring requests of one method in one go."""
        started = _now()
        requests = [item for item in items if isinstance(item, Request)]
        results: list[Json | Exception] = [None] * len(requests)
        accepted: dict[int, Any] = {}
        for position, request in enumerate(requests):
            try:
                self._spend(method.weight, context, method.name)
                accepted[position] = method.arguments(request.params)[0]
            except RpcError as error:
                results[position] = error
        try:
            outcomes = await self._run_together(method, list(accepted.values()))
        except Exception as error:  # noqa: BLE001  (as in `_single`)
            outcomes = [error] * len(accepted)
        for position, outcome in zip(accepted, outcomes, strict=True):
            results[position] = outcome
        answers = []
        for request, result in zip(requests, results, strict=True):
            answer = self._encode(request, result)
            self._observe(method, result, started)
            if answer is not None:
                answers.append(answer)
        return answers

    async def _run_together(self, method: Method, arguments: list[Any]) -> Sequence[Json | Exception]:
        if method.batch_handler is None or not arguments:
            return []
        seconds = self._limits.batch_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                return await method.batch_handler(arguments)
        except TimeoutError:
            raise _timed_out(seconds, "rpc.batch_timeout_seconds") from None

    def _encode(self, request: Request, result: Json | Exception) -> bytes | None:
        if isinstance(result, Exception):
            answer = encode_error(request.id, _failure(request.method, result))
        else:
            answer = self._encode_result(request, result)
        return None if request.is_notification else answer

    def _encode_result(self, request: Request, result: Json) -> bytes:
        try:
            answer = encode_result(request.id, result)
        except TypeError as error:
            return encode_error(request.id, _failure(request.method, error))
        limit = self._limits.response_max_bytes
        if len(answer) > limit:
            return encode_error(request.id, response_too_large(len(answer), limit))
        return answer

    def _observe(self, method: Method | None, result: Json | Exception, started: float) -> None:
        if self._observer is None:
            return
        outcome = "ok"
        if isinstance(result, Exception):
            known = _known(result)
            outcome = str(INTERNAL_ERROR if known is None else known.code)
        self._observer.request("unknown" if method is None else method.name, outcome, _now() - started)


def _failure(method: str, error: Exception) -> RpcError:
    known = _known(error)
    if known is None:
        log.error("rpc_handler_failed", method=method, exc_info=error)
        return RpcError(INTERNAL_ERROR, "internal error")
    return known


def _known(error: Exception) -> RpcError | None:
    return to_rpc_error(error) if isinstance(error, CybermilesError) else None


def _timed_out(seconds: int, key: str) -> RpcError:
    return RpcError(TIMEOUT, f"request timed out after {seconds} s ({key})")


def _now() -> float:
    """Return the event loop's monotonic seconds."""
    return asyncio.get_running_loop().time()
