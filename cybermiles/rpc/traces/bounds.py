"""A trace that grows over the response limit is given up on the way, in words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from cybermiles.rpc.jsonrpc import RESPONSE_TOO_LARGE, RpcError
from cybermiles.vm.tracing import TraceTooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def bounded(limit: int, advice: str = "") -> Iterator[None]:
    """Word `TraceTooLarge` for a caller, with what to ask instead. Raises RpcError."""
    try:
        yield
    except TraceTooLarge:
        reason = f"the trace is over the limit of {limit} bytes (rpc.response_max_bytes){advice}"
        raise RpcError(RESPONSE_TOO_LARGE, reason) from None
