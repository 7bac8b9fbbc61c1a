"""One call frame: py-evm's computation with our state, an integer stack, and books that do not grow.

A finished child's logs, refunds and deletions are merged into its parent at once and the child is forgotten, so that a
transaction with a million calls keeps one path of frames alive and not all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from eth.exceptions import (
    ContractCreationCollision,
    FullStack,
    InsufficientFunds,
    InsufficientStack,
    OutOfGas,
    ReservedBytesInCode,
    Revert,
    StackDepthLimit,
    VMError,
)
from eth.vm.computation import BaseComputation
from eth.vm.memory import Memory
from eth.vm.stack import Stack

from cybermiles.chain.predeploys import SYSTEM_STUB
from cybermiles.vm.compute_units import CODE_DEPOSIT_SHIFT, CODE_SHIFT, MESSAGE_SHIFT, precompile_weight
from cybermiles.vm.pyevm.dispatch import STACK_LIMIT, ComputeBudgetExceeded, expansion_gas, run
from cybermiles.vm.pyevm.message import Message
from cybermiles.vm.pyevm.native import run_native
from cybermiles.vm.validity import MAX_INITCODE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from cybermiles.types.primitives import Address
    from cybermiles.types.receipt import Log
    from cybermiles.vm.native import NativeContract
    from cybermiles.vm.pyevm.program import ProgramCache
    from cybermiles.vm.pyevm.state import State

CALL_DEPTH_LIMIT = 1024
MAX_CODE_BYTES = 24_576
CODE_DEPOSIT_GAS = 200
RESERVED_FIRST_BYTE = 0xEF


class CodeTooLarge(OutOfGas):  # type: ignore[misc]  # py-evm is untyped
    """The returned contract code is over EIP-170's limit."""


class IntegerStack(Stack):  # type: ignore[misc]  # py-evm is untyped
    """py-evm's stack holding integers only, whatever an opcode pushes."""

    __slots__ = ()

    def push_int(self, value: int) -> None:
        if len(self.values) >= STACK_LIMIT:
            raise FullStack("stack limit reached")
        self.values.append(value)

    def push_bytes(self, value: bytes) -> None:
        self.push_int(int.from_bytes(value))

    def pop1_int(self) -> int:
        try:
            return self.values.pop()  # type: ignore[no-any-return]  # integers only
        except IndexError:
            raise InsufficientStack("stack underflow") from None

    def pop1_any(self) -> int:
        return self.pop1_int()

    def pop1_bytes(self) -> bytes:
        value = self.pop1_int()
        return value.to_bytes((value.bit_length() + 7) // 8 or 1)

    def pop_ints(self, num_items: int) -> tuple[int, ...]:
        values = self.values
        if num_items > len(values):
            raise InsufficientStack("stack underflow")
        taken = values[: -num_items - 1 : -1]
        del values[-num_items:]
        return tuple(taken)


class Frame(BaseComputation):  # type: ignore[misc]  # py-evm is untyped
    """A frame. Subclassed for each backend with its tables in class attributes."""

    programs: ProgramCache
    precompile_table: dict[Address, tuple[int, Any]]
    """Address to (number, function)."""
    native_contracts: Mapping[Address, NativeContract]
    """Contracts in Python; they run where the account's code is the system stub."""

    def __init__(self, state: State, message: Any, transaction_context: Any) -> None:  # noqa: ANN401
        self.state: State = state
        self.msg = message
        self.transaction_context = transaction_context
        self.address: Address = message.storage_address
        self.gas_left: int = message.gas
        self.refund: int = message.refund
        self.logs: list[Log] = []
        self.deletions: list[Address] = []
        self._stack = IntegerStack()
        self.stack_values: list[int] = self._stack.values
        self._memory = Memory()
        self.memory_bytes: bytearray = self._memory._bytes

    # Gas: two integers instead of a meter object

    def consume_gas(self, amount: int, reason: str) -> None:  # noqa: ARG002  (py-evm's signature)
        if amount > self.gas_left:
            raise OutOfGas("out of gas")
        self.gas_left -= amount

    def return_gas(self, amount: int) -> None:
        self.gas_left += amount

    def refund_gas(self, amount: int) -> None:
        self.refund += amount

    def get_gas_remaining(self) -> int:
        return 0 if self.should_burn_gas else self.gas_left

    def get_gas_used(self) -> int:
        return int(self.msg.gas) - self.get_gas_remaining()

    def get_gas_refund(self) -> int:
        return int(self.msg.refund) if self.is_error else self.refund

    # Memory

    def grow_memory(self, end: int, gas: int) -> int:
        """Extend memory to `end` bytes, which are more than it has, and return what is left of `gas`."""
        size = len(self.memory_bytes)
        gas -= expansion_gas(size, end)
        if gas < 0:
            raise OutOfGas("out of gas")
        self.memory_bytes.extend(bytes((end + 31) // 32 * 32 - size))
        return gas

    def extend_memory(self, start_position: int, size: int) -> None:
        if size and start_position + size > len(self.memory_bytes):
            self.gas_left = self.grow_memory(start_position + size, self.gas_left)

    def pop_address(self) -> Address:
        """Pop a word and return its low 20 bytes."""
        return (self._stack.pop1_int() & (1 << 160) - 1).to_bytes(20)  # type: ignore[return-value]

    def pop_operands(self, count: int) -> list[int]:
        """Pop words, the topmost first."""
        stack = self.stack_values
        if count > len(stack):
            raise InsufficientStack("stack underflow")
        taken = stack[: -count - 1 : -1]
        del stack[-count:]
        return taken

    # Children

    @property
    def failure(self) -> VMError | None:
        """Why the frame failed, None while it did not."""
        return self._error

    def prepare_child_message(self, **fields: Any) -> Message:  # noqa: ANN401  (py-evm's signature)
        return Message(**{"sender": self.address, "depth": self.msg.depth + 1, **fields})

    def add_child_computation(self, child_computation: Frame) -> None:
        child, error = child_computation, child_computation.failure
        if child.msg.is_create if error is None else error.burns_gas:
            self.return_data = b""
        else:
            self.return_data = child.output
        if error is None:
            self.refund += child.refund
            self.logs += child.logs
            self.deletions += child.deletions

    # Execution

    @classmethod
    def apply_message(
        cls,
        state: State,
        message: Any,  # noqa: ANN401
        transaction_context: Any,  # noqa: ANN401
        parent_computation: Frame | None = None,  # noqa: ARG003  (py-evm's signature)
    ) -> Frame:
        """Run a call: move the value, run the code, undo everything on failure."""
        world = state.world
        snapshot = world.snapshot()
        if message.depth > CALL_DEPTH_LIMIT:
            raise StackDepthLimit("max call depth exceeded")
        recipient = message.storage_address
        if message.should_transfer_value and message.value:
            if message.sender in state.context.frozen:
                return cls._refused(state, message, transaction_context)
            if world.balance(message.sender) < message.value:
                raise InsufficientFunds("insufficient balance for transfer")
            world.subtract_balance(message.sender, message.value)
            world.add_balance(recipient, message.value)
        world.touch(recipient)
        state.compute_units -= len(message.data) >> MESSAGE_SHIFT
        frame = cls(state, message, transaction_context)
        with frame:
            frame._execute()
        if frame.failure is not None:
            world.revert(snapshot)
        return frame

    @classmethod
    def _refused(cls, state: State, message: Any, transaction_context: Any) -> Frame:  # noqa: ANN401
        """Return the frame of a call that would take value from a frozen account: it reverts before it begins."""
        frame = cls(state, message, transaction_context)
        with frame:
            raise Revert("account frozen")
        return frame

    @classmethod
    def collided(cls, state: State, message: Any, transaction_context: Any) -> Frame:  # noqa: ANN401
        """Return the frame of a creation where a contract is already: it fails before it begins."""
        frame = cls(state, message, transaction_context)
        with frame:
            raise ContractCreationCollision("contract address collision")
        return frame

    @classmethod
    def apply_create_message(
        cls,
        state: State,
        message: Any,  # noqa: ANN401
        transaction_context: Any,  # noqa: ANN401
        parent_computation: Frame | None = None,
    ) -> Frame:
        """Run initcode and store what it returns as the new account's code."""
        if len(message.code) > MAX_INITCODE_BYTES:
            raise OutOfGas("max initcode size exceeded")
        world = state.world
        snapshot = world.snapshot()
        world.increment_nonce(message.storage_address)
        world.mark_created(message.storage_address)
        frame = cls.apply_message(state, message, transaction_context, parent_computation)
        if not frame.is_error:
            with frame:
                frame._deposit()
        if frame.is_error:
            world.revert(snapshot)
        return frame

    def _execute(self) -> None:
        message = self.msg
        known = self.precompile_table.get(message.code_address)
        if known is None:
            if message.code == SYSTEM_STUB and message.code_address == message.storage_address in self.native_contracts:
                run_native(self, self.native_contracts[message.storage_address])
            elif message.code:
                self._charge_for_code(message)
                self.run_program(self.programs.get(message.code, keep=not message.is_create))
        elif not message.is_delegation:
            number, precompile = known
            self.state.compute_units -= precompile_weight(number, message.data)
            if self.state.compute_units < 0:
                raise ComputeBudgetExceeded("compute budget exceeded")
            precompile(self)

    run_program = run
    """What runs translated code; traced frames put another loop in its place."""

    def _charge_for_code(self, message: Any) -> None:  # noqa: ANN401
        """Charge for loading code and finding its jump destinations, once a block; for initcode each time."""
        state, code = self.state, message.code
        if not message.is_create:
            if code in state.loaded_code or code in state.context.loaded_code:
                return
            state.loaded_code[code] = None
        state.compute_units -= len(code) >> CODE_SHIFT

    def _deposit(self) -> None:
        code = self.output
        if not code:
            return
        if len(code) > MAX_CODE_BYTES:
            raise CodeTooLarge("max code size exceeded")
        if code[0] == RESERVED_FIRST_BYTE:
            raise ReservedBytesInCode("invalid code: must not begin with 0xef")
        self.consume_gas(CODE_DEPOSIT_GAS * len(code), "code deposit")
        self.state.compute_units -= len(code) >> CODE_DEPOSIT_SHIFT
        self.state.world.set_code(self.address, code)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(exc_value, VMError):
            return False
        self._error = exc_value
        if self.should_burn_gas:
            self.gas_left = 0
        if self.should_erase_return_data:
            self.return_data = b""
        return True

    def __enter__(self) -> Self:
        return self
