"""From calldata to a handler and back: what Solidity's compiled entry code does, once for all system contracts.

    selector ──► mutability ──► price ──► arguments ──► handler ──► output
       │ none       │ static write, value   │ malformed    │ Refusal
       ▼            ▼ not payable           ▼              ▼
     revert       revert                  revert         revert with the custom error

Every revert before the handler has no data, as in Solidity. A handler is a function `(call, *arguments)` that returns
None, one value, or a tuple of the ABI's outputs (a NamedTuple is a struct). It is bound to an ABI function by name in
one table, and the table must be complete:

    CONTRACT = SystemContract(STAKING, load_abi("ICmtStaking"), {"delegate": delegate, "supply": supply, …})

What it may do is said by the ABI's mutability: a view that changes the world is a bug of the node and stops it.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from cybermiles.errors import ConfigError, InvariantViolation, Refusal
from cybermiles.state.slots import Storage
from cybermiles.system.abi import Mutability
from cybermiles.system.codec import EncodingError, MalformedData
from cybermiles.system.errors import refusal_data
from cybermiles.system.events import event_log
from cybermiles.system.gas import (
    COSTS,
    ITEM_COMPUTE_UNITS,
    ITEM_GAS,
    MAX_CALLDATA_BYTES,
    REFUSED_COMPUTE_UNITS,
    VIEW,
    scaled,
)
from cybermiles.vm.native import NativeRevert

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cybermiles.state.world import WorldState
    from cybermiles.system.abi import ContractAbi, Function
    from cybermiles.system.gas import MethodCost
    from cybermiles.types.primitives import Address
    from cybermiles.vm.backend import BlockContext
    from cybermiles.vm.native import NativeCall

    Handler = Callable[..., object]


class Call:
    """What a handler works with."""

    __slots__ = ("_abi", "_native", "address", "context", "sender", "storage", "value", "world")

    def __init__(self, native: NativeCall, abi: ContractAbi, address: Address) -> None:
        self._native = native
        self._abi = abi
        self.address = address
        """The contract itself."""
        self.sender = native.sender
        """msg.sender: the actor."""
        self.value = native.value
        """Wei that came with the call, already in the contract's balance; 0 unless the function is payable."""
        self.context: BlockContext = native.context
        """Height, time, parameters and genesis hash of the block."""
        self.world: WorldState = native.world
        self.storage = Storage(native.world, address)
        """The contract's own."""

    @property
    def chain_id(self) -> int:
        """EIP-155 chain id."""
        return self._native.chain_id

    def emit(self, name: str, *arguments: object) -> None:
        """Log the ABI's event with this name; arguments in order of declaration."""
        log = event_log(self.address, self._abi, name, arguments)
        self._native.emit(log.address, log.topics, log.data)

    def transfer(self, to: Address, amount: int) -> None:
        """Pay wei from the contract's balance. No code of the receiver runs, so nothing can re-enter."""
        self._native.transfer(self.address, to, amount)

    def charge_items(self, count: int) -> None:
        """Charge for `count` items of a returned list, before they are read."""
        gas = scaled(ITEM_GAS * count, self.context.params)
        self._native.consume(gas=gas, compute_units=ITEM_COMPUTE_UNITS * count)

    def charge_time(self, compute_units: int) -> None:
        """Charge for work whose amount the state decides and the flat price does not cover, before it is done."""
        self._native.consume(gas=0, compute_units=compute_units)

    def acting_as(self, address: Address, abi: ContractAbi) -> Call:
        """Return this call as another system contract would see it: storage, events and payments are that one's.

        Sender, value and price stay. For what one contract does through another's rules.
        """
        return Call(self._native, abi, address)


class _Method:
    """One function, its handler and its price."""

    __slots__ = ("cost", "function", "handler", "payable", "writes")

    def __init__(self, function: Function, handler: Handler, cost: MethodCost) -> None:
        self.function = function
        self.handler = handler
        self.cost = cost
        self.writes = function.mutability.writes
        self.payable = function.mutability is Mutability.PAYABLE


class SystemContract:
    """`NativeContract` of one ABI: handlers by function name."""

    def __init__(
        self,
        address: Address,
        abi: ContractAbi,
        handlers: Mapping[str, Handler],
        costs: Mapping[str, MethodCost] | None = None,
    ) -> None:
        """Bind handlers to the ABI's functions; `costs` are those of `system.gas` unless given.

        Raises ConfigError where a function has no handler or no price, a handler no function, or where a handler
        takes another number of arguments than its function.
        """
        self.address = address
        self.abi = abi
        _check(abi, handlers)
        prices = COSTS.get(abi.name, {}) if costs is None else costs
        self._methods = {
            function.selector: _Method(function, handlers[name], _cost(abi, function, prices))
            for name, function in abi.functions.items()
        }

    def call(self, call: NativeCall) -> bytes:
        """See `NativeContract`."""
        method = self._methods.get(call.data[:4])
        if method is None or not _is_permitted(method, call):
            call.consume(gas=0, compute_units=REFUSED_COMPUTE_UNITS)
            raise NativeRevert
        cost = method.cost
        call.consume(gas=scaled(cost.gas, call.context.params), compute_units=cost.compute_units)
        try:
            arguments = method.function.decode_arguments(call.data)
        except MalformedData as error:
            raise NativeRevert from error
        before = call.world.snapshot()
        try:
            result = method.handler(Call(call, self.abi, self.address), *arguments)
        except Refusal as refusal:
            raise NativeRevert(refusal_data(self.abi, refusal)) from refusal
        if not method.writes and call.world.snapshot() != before:
            raise InvariantViolation(f"{method.function.signature} of {self.abi.name} is a view but changed state")
        try:
            return method.function.encode_output(result)
        except EncodingError as wrong:
            raise InvariantViolation(f"{method.function.signature} returned {result!r}: {wrong}") from wrong


def _is_permitted(method: _Method, call: NativeCall) -> bool:
    if call.is_static and method.writes:
        return False
    if call.value and not method.payable:
        return False
    return len(call.data) <= MAX_CALLDATA_BYTES


def _check(abi: ContractAbi, handlers: Mapping[str, Handler]) -> None:
    missing = [name for name in abi.functions if name not in handlers]
    unknown = [name for name in handlers if name not in abi.functions]
    if missing or unknown:
        raise ConfigError(f"{abi.name}: no handler for {missing}, no function for {unknown}")
    for name, handler in handlers.items():
        takes, gets = len(inspect.signature(handler).parameters) - 1, len(abi.functions[name].parameters)
        if takes != gets:
            raise ConfigError(f"{abi.name}.{name} has {gets} arguments, but its handler takes {takes}")


def _cost(abi: ContractAbi, function: Function, prices: Mapping[str, MethodCost]) -> MethodCost:
    cost = prices.get(function.name)
    if cost is None and function.mutability.writes:
        raise ConfigError(f"{abi.name}.{function.name} has no price in system.gas")
    return VIEW if cost is None else cost
