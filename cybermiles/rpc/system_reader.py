"""The system contracts asked at any height whose state is kept, by running their own code as `eth_call` does.

So an answer is what a contract or a wallet would get there. Refusals become errors with code 3, the contract's data and
a sentence that says what it means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.execution.simulate import BlockOverride, CallFailed
from cybermiles.rpc.errors import failed_call
from cybermiles.rpc.jsonrpc import RpcError
from cybermiles.system.interface import call_of, read_output
from cybermiles.system.sentences import explain
from cybermiles.types.primitives import ZERO_ADDRESS, Address
from cybermiles.vm.backend import CallMessage

if TYPE_CHECKING:
    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.ports import ChainReader, Executor
    from cybermiles.system.interface import Named, SystemCall
    from cybermiles.vm.backend import ExecutionResult


class SystemReader:
    """Reads and estimates of the system contracts."""

    def __init__(self, chain: ChainReader, executor: Executor, limits: RpcLimits) -> None:
        self._chain = chain
        self._executor = executor
        self._limits = limits

    async def ask(self, height: int, interface: str, function: str, *arguments: object) -> Named:
        """Return what a function answers on the state after `height`. Raises RpcError where it refuses."""
        message = self._message(ZERO_ADDRESS, call_of(interface, function, *arguments))
        result = await self._executor.call(message, height, {}, BlockOverride())
        if result.failure is not None:
            raise refused(result)
        return read_output(interface, function, result.output)

    async def estimate(self, sender: Address, call: SystemCall) -> int:
        """Return a gas limit for a call sent now. Raises RpcError where the contract would refuse it."""
        try:
            return await self._executor.estimate_gas(self._message(sender, call), self._chain.head_height(), {})
        except CallFailed as failed:
            raise refused(failed.result, str(failed)) from failed

    def _message(self, sender: Address, call: SystemCall) -> CallMessage:
        gas = min(self._limits.call_gas_max, self._chain.params.block_gas_limit)
        return CallMessage(sender=sender, to=call.to, gas=gas, gas_price=0, value=call.value, data=call.data)


def refused(result: ExecutionResult, message: str | None = None) -> RpcError:
    """Return the error for a call of a system contract that failed, with the contract's reason in words.

    `message` is that of another failure than a revert.
    """
    error, reason = failed_call(result, message), explain(result.output)
    return error if reason is None else RpcError(error.code, f"{error}: {reason}", error.data)
