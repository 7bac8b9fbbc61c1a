"""The one tree of exceptions of the node.

Who is at fault decides what happens: a user's garbage (`InvalidTransaction`) becomes an RPC error, a
peer's garbage (`ProtocolViolation`, `InvalidBlock`) costs the peer, a wrong set-up (`ConfigError`) ends
the command with an exit code, and only a broken invariant (`InvariantViolation`, `StorageError`) stops
the node. Messages of `InvalidTransaction` are geth's phrases, because wallets and libraries match them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class CybermilesError(Exception):
    """Root of every exception this package raises on purpose. Crosses process boundaries whole, without its cause."""

    def __reduce__(self) -> tuple[Callable[..., CybermilesError], tuple[object, ...]]:
        return restore_error, (type(self), self.args, vars(self))


def restore_error(kind: type[CybermilesError], args: tuple[object, ...], fields: dict[str, object]) -> CybermilesError:
    """Return an error as it was when it was pickled; its constructor, which may word it, has run already."""
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(fields)
    return error


class ConfigError(CybermilesError):
    """A configuration, genesis or command-line value is wrong; the message says what to write instead."""


class DecodingError(CybermilesError):
    """Bytes are not the canonical encoding of what they should be."""


class ProtocolViolation(CybermilesError):
    """A peer sent what the protocol forbids."""


class StorageError(CybermilesError):
    """The disk refused or returned wrong bytes; the node must stop."""


class InvariantViolation(CybermilesError):
    """A rule that can never be broken was broken: a bug of this node. Halts it."""


class Refusal(CybermilesError):
    """A rule of a system contract refuses a call: the caller's fault, answered as a custom error of Solidity.

    Each subclass is one error of the contracts' ABIs: its name is the class's, `arguments` are the error's in order.
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(f"{type(self).__name__}{arguments}")
        self.arguments = arguments


class InvalidBlock(CybermilesError):
    """A block breaks a validity rule; `got` and `expected` hold the evidence where it is one value."""

    def __init__(self, reason: str, *, got: object = None, expected: object = None) -> None:
        super().__init__(reason if expected is None else f"{reason}: got {got}, expected {expected}")
        self.got = got
        self.expected = expected


class InvalidTransaction(CybermilesError):
    """A transaction can never be, or cannot now be, part of a block."""


class MalformedTransaction(InvalidTransaction):
    """The bytes are not a canonical signed transaction of a supported type."""


class InvalidSignature(InvalidTransaction):
    """The signature values recover no sender or are not in canonical (low-s) form."""


class WrongChainId(InvalidTransaction):
    """The transaction is signed for another chain."""


class UnprotectedTransaction(InvalidTransaction):
    """A transaction without chain id on a network that demands replay protection."""


class UnsupportedTransactionType(InvalidTransaction):
    """The transaction type is not enabled on this chain."""


class OversizedTransaction(InvalidTransaction):
    """More wire bytes than the network accepts."""


class NonceTooLow(InvalidTransaction):
    """The nonce was already used."""


class NonceTooHigh(InvalidTransaction):
    """The nonce leaves a gap, so the transaction cannot execute yet."""


class NonceOverflow(InvalidTransaction):
    """The sender's nonce is at its maximum (EIP-2681)."""


class SenderHasCode(InvalidTransaction):
    """The sender is a contract (EIP-3607)."""


class AccountFrozen(InvalidTransaction):
    """Members froze the sender's account for the time of a recovery."""


class UpgradeRequired(CybermilesError):
    """The next block needs another version of the software; this one stops before it. No fault of anybody."""


class InsufficientFunds(InvalidTransaction):
    """The balance does not cover value plus the most the gas may cost."""


class IntrinsicGasTooLow(InvalidTransaction):
    """The gas limit does not cover the cost due before the first opcode (or the EIP-7623 floor)."""


class GasLimitExceeded(InvalidTransaction):
    """The gas limit is over a block's, a transaction's or the lane's limit."""


class InitcodeTooLarge(InvalidTransaction):
    """Contract-creation data over EIP-3860's limit."""


class TipAboveFeeCap(InvalidTransaction):
    """`maxPriorityFeePerGas` is higher than `maxFeePerGas`."""


class FeeCapTooLow(InvalidTransaction):
    """`maxFeePerGas` is below the block's base fee."""


class Underpriced(InvalidTransaction):
    """The gas price is under the chain's floor for a transaction that is not free."""


class ReplacementUnderpriced(InvalidTransaction):
    """A pending transaction of this nonce may only be replaced by a better-paying one."""


class AlreadyKnown(InvalidTransaction):
    """The pool holds this very transaction."""


class PoolFull(InvalidTransaction):
    """A pool limit is reached and the newcomer is worth less than what it would push out."""


class NotIncludable(InvalidTransaction):
    """Valid, but this block's lanes or budgets have no room for it."""
