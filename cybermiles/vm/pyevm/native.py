"""A native contract's view of its frame, and running one inside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth.exceptions import Revert, WriteProtection

from cybermiles.types.receipt import Log
from cybermiles.vm.compute_units import TENTHS
from cybermiles.vm.native import NativeRevert
from cybermiles.vm.pyevm.dispatch import ComputeBudgetExceeded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.state.world import WorldState
    from cybermiles.types.primitives import Address, ChainId, Hash32
    from cybermiles.vm.backend import BlockContext
    from cybermiles.vm.native import NativeContract
    from cybermiles.vm.pyevm.frame import Frame


class FrameCall:
    """`NativeCall` on a frame."""

    __slots__ = ("_frame", "address", "chain_id", "context", "data", "depth", "is_static", "sender", "value", "world")

    def __init__(self, frame: Frame) -> None:
        message, state = frame.msg, frame.state
        self._frame = frame
        self.address: Address = frame.address
        self.sender: Address = message.sender
        self.value: int = message.value
        self.data = bytes(message.data)
        self.is_static: bool = message.is_static
        self.depth: int = message.depth
        self.context: BlockContext = state.context
        self.chain_id: ChainId = state.rules.chain_id
        self.world: WorldState = state.world

    def consume(self, *, gas: int, compute_units: int) -> None:
        frame = self._frame
        frame.consume_gas(gas, "native contract")
        frame.state.compute_units -= compute_units * TENTHS
        if frame.state.compute_units < 0:
            raise ComputeBudgetExceeded("compute budget exceeded")

    def emit(self, address: Address, topics: Sequence[Hash32], data: bytes) -> None:
        self._refuse_when_static()
        self._frame.logs.append(Log(address, tuple(topics), data))

    def transfer(self, source: Address, to: Address, amount: int) -> None:
        self._refuse_when_static()
        self.world.subtract_balance(source, amount)
        self.world.add_balance(to, amount)

    def _refuse_when_static(self) -> None:
        if self.is_static:
            raise WriteProtection("write protection")


def run_native(frame: Frame, contract: NativeContract) -> None:
    """Run a native contract as the frame's code. Raises py-evm's VMError subclasses where the frame fails."""
    try:
        frame.output = contract.call(FrameCall(frame))
    except NativeRevert as revert:
        frame.output = revert.data
        raise Revert("execution reverted") from revert
