"""py-evm's exceptions in the node's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth.exceptions import (
    ContractCreationCollision,
    FullStack,
    InsufficientFunds,
    InsufficientStack,
    InvalidInstruction,
    InvalidJumpDestination,
    OutOfBoundsRead,
    OutOfGas,
    ReservedBytesInCode,
    Revert,
    StackDepthLimit,
    VMError,
    WriteProtection,
)

from cybermiles.vm.backend import Failure
from cybermiles.vm.pyevm.dispatch import ComputeBudgetExceeded
from cybermiles.vm.pyevm.frame import CodeTooLarge

if TYPE_CHECKING:
    from eth.exceptions import VMError

    from cybermiles.vm.pyevm.frame import Frame

_FAILURES: tuple[tuple[type[VMError], Failure], ...] = (
    (ComputeBudgetExceeded, Failure.COMPUTE_BUDGET),
    (CodeTooLarge, Failure.CODE_SIZE),
    (Revert, Failure.REVERT),
    (OutOfGas, Failure.OUT_OF_GAS),
    (InvalidInstruction, Failure.INVALID_OPCODE),
    (InvalidJumpDestination, Failure.INVALID_JUMP),
    (InsufficientStack, Failure.STACK_UNDERFLOW),
    (FullStack, Failure.STACK_OVERFLOW),
    (WriteProtection, Failure.WRITE_PROTECTION),
    (ContractCreationCollision, Failure.CONTRACT_COLLISION),
    (ReservedBytesInCode, Failure.INVALID_CODE),
    (OutOfBoundsRead, Failure.RETURN_DATA_BOUNDS),
    (InsufficientFunds, Failure.INSUFFICIENT_BALANCE),
    (StackDepthLimit, Failure.CALL_DEPTH),
)
"""Subclasses first."""


def failure_of(error: VMError | None) -> Failure | None:
    """Return what the error of a frame stands for, None where it has none."""
    if error is None:
        return None
    return next((failure for kind, failure in _FAILURES if isinstance(error, kind)), Failure.OTHER)


def phrase_of(frame: Frame) -> str | None:
    """Return why a frame failed as geth's traces say it, None where it succeeded."""
    failure = failure_of(frame.failure)
    if failure is None:
        return None
    if failure is Failure.OTHER and frame.msg.code_address in frame.precompile_table:
        return Failure.PRECOMPILE.value
    text = str(frame.error)
    return text if text.startswith(_IN_DETAIL) else failure.value


_IN_DETAIL = ("invalid opcode: ", "out of gas: ", "contract creation code storage", "stack underflow (")
"""Messages that say more than the failure's name, and in geth's words."""
