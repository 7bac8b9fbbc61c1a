"""From the node's exceptions to JSON-RPC errors: one table, read by the dispatcher alone.

Wallets and libraries match geth's phrases and codes, so a message that lacks its kind's phrase gets it in
front. What is not in the table is a fault of this node and is answered without detail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles import errors
from cybermiles.execution.simulate import CallFailed
from cybermiles.rpc.jsonrpc import (
    EXECUTION_REVERTED,
    LIMIT_EXCEEDED,
    SERVER_ERROR,
    RpcError,
)
from cybermiles.rpc.ports import ExecutionAborted, ExecutionTimeout, Overloaded, StateUnavailable
from cybermiles.rpc.quantities import encode_data
from cybermiles.vm.backend import Failure

if TYPE_CHECKING:
    from cybermiles.errors import CybermilesError
    from cybermiles.vm.backend import ExecutionResult

_PHRASES: tuple[tuple[type[errors.InvalidTransaction], str, str], ...] = (
    (errors.InvalidSignature, "invalid", "invalid sender"),
    (errors.WrongChainId, "invalid chain id", "invalid chain id for signer"),
    (errors.UnsupportedTransactionType, "not supported", "transaction type not supported"),
    (errors.OversizedTransaction, "oversized data", "oversized data"),
    (errors.NonceTooLow, "nonce too low", "nonce too low"),
    (errors.NonceTooHigh, "nonce too high", "nonce too high"),
    (errors.NonceOverflow, "nonce has max value", "nonce has max value"),
    (errors.SenderHasCode, "sender not an eoa", "sender not an eoa"),
    (errors.AccountFrozen, "account frozen", "account frozen"),
    (
        errors.InsufficientFunds,
        "insufficient funds for",
        "insufficient funds for gas * price + value",
    ),
    (errors.IntrinsicGasTooLow, "gas", "intrinsic gas too low"),
    (errors.InitcodeTooLarge, "max initcode size exceeded", "max initcode size exceeded"),
    (
        errors.TipAboveFeeCap,
        "max priority fee per gas higher than max fee per gas",
        "max priority fee per gas higher than max fee per gas",
    ),
    (
        errors.FeeCapTooLow,
        "less than block",
        "max fee per gas less than block base fee",
    ),
    (
        errors.ReplacementUnderpriced,
        "replacement transaction underpriced",
        "replacement transaction underpriced",
    ),
    (errors.AlreadyKnown, "already known", "already known"),
    (errors.PoolFull, "txpool is full", "txpool is full"),
)
"""(kind, what its message must contain, what is put in front of one that does not)."""

_CODES: tuple[tuple[type[CybermilesError], int], ...] = (
    (errors.InvalidTransaction, SERVER_ERROR),
    (StateUnavailable, SERVER_ERROR),
    (ExecutionTimeout, SERVER_ERROR),
    (ExecutionAborted, SERVER_ERROR),
    (Overloaded, LIMIT_EXCEEDED),
)

_ERROR_SELECTOR = bytes.fromhex("08c379a0")
_PANIC_SELECTOR = bytes.fromhex("4e487b71")
_PANICS = {
    0x00: "generic panic",
    0x01: "assert(false)",
    0x11: "arithmetic underflow or overflow",
    0x12: "division or modulo by zero",
    0x21: "enum overflow",
    0x22: "invalid encoded storage byte array accessed",
    0x31: "out-of-bounds array access; popping on an empty array",
    0x32: "out-of-bounds access of an array or bytesN",
    0x41: "out of memory",
    0x51: "uninitialized function",
}
"""Solidity's panic codes, worded as geth words them."""
_MAX_REASON_BYTES = 1024


def to_rpc_error(error: CybermilesError) -> RpcError | None:
    """Return the error a caller gets, or None for a fault of this node."""
    if isinstance(error, RpcError):
        return error
    if isinstance(error, CallFailed):
        return failed_call(error.result, str(error))
    for kind, code in _CODES:
        if isinstance(error, kind):
            return RpcError(code, _message(error))
    return None


def failed_call(result: ExecutionResult, message: str | None = None) -> RpcError:
    """Return the error for a call that did not succeed: code 3 with the data where it reverted."""
    if result.failure is Failure.REVERT:
        reason = revert_reason(result.output)
        text = Failure.REVERT.value if reason is None else f"{Failure.REVERT.value}: {reason}"
        return RpcError(EXECUTION_REVERTED, text, encode_data(result.output))
    phrase = Failure.OTHER if result.failure is None else result.failure
    return RpcError(SERVER_ERROR, message or phrase.value)


def revert_reason(output: bytes) -> str | None:
    """Return what Solidity's `Error(string)` or `Panic(uint256)` says, None for any other data."""
    selector, words = output[:4], output[4:]
    if selector == _PANIC_SELECTOR and len(words) == 32:
        code = int.from_bytes(words)
        return _PANICS.get(code, f"unknown panic code: {code:#x}")
    if selector != _ERROR_SELECTOR or len(words) < 64:
        return None
    offset = int.from_bytes(words[:32])
    if offset + 32 > len(words):
        return None
    start = offset + 32
    length = int.from_bytes(words[offset:start])
    if start + length > len(words):
        return None
    return words[start : start + min(length, _MAX_REASON_BYTES)].decode(errors="replace")


def _message(error: CybermilesError) -> str:
    text = str(error)
    for kind, needle, phrase in _PHRASES:
        if isinstance(error, kind):
            return text if needle in text else f"{phrase}: {text}" if text else phrase
    return text or "invalid transaction"
