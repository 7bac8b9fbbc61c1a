"""One EVM for a chain that forks: each execution goes to the backend of the rules in force in its block."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cybermiles.errors import FeeCapTooLow
from cybermiles.vm.ethereum import OWN_FORKS, EthereumFork
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.pyevm.early import EarlyBackend
from cybermiles.vm.rules import ChainRules, Fork, ethereum_rules
from cybermiles.vm.validity import cannot_pay, hex_address

if TYPE_CHECKING:
    from cybermiles.conformance.forks import ForkSchedule
    from cybermiles.state.world import WorldState
    from cybermiles.types.primitives import Wei
    from cybermiles.types.transaction import Transaction
    from cybermiles.vm.backend import BlockContext, CallMessage, EvmBackend, ExecutionResult, GasPayer
    from cybermiles.vm.tracing import Tracer


class ForkedBackend:
    """`EvmBackend` of a whole foreign chain. Not thread-safe."""

    def __init__(self, schedule: ForkSchedule) -> None:
        self._schedule = schedule
        self._backends: dict[tuple[EthereumFork, int], EvmBackend] = {}

    @property
    def rules(self) -> ChainRules:
        """Ethereum's fees and the chain id, under the newest fork this VM has."""
        return ethereum_rules(Fork.OSAKA, self._schedule.chain_id)

    def execute_transaction(  # noqa: PLR0913  (the protocol's)
        self,
        world: WorldState,
        context: BlockContext,
        transaction: Transaction,
        *,
        gas_price: Wei,
        compute_units: int | None,  # noqa: ARG002  (Ethereum has no second meter)
        free: bool = False,
        payer: GasPayer | None = None,
        tracer: Tracer | None = None,
    ) -> ExecutionResult:
        """See `EvmBackend`."""
        backend = self._at(context)
        return backend.execute_transaction(
            world,
            context,
            transaction,
            gas_price=gas_price,
            compute_units=None,
            free=free,
            payer=payer,
            tracer=tracer,
        )

    def call(
        self,
        world: WorldState,
        context: BlockContext,
        message: CallMessage,
        *,
        compute_units: int | None,  # noqa: ARG002  (Ethereum has no second meter)
        collect_access: bool = False,
        tracer: Tracer | None = None,
    ) -> ExecutionResult:
        """See `EvmBackend`; a call that names a price must be able to pay it, as in geth."""
        if message.gas_price:
            _buy_gas(world, context, message)
        backend = self._at(context)
        result = backend.call(world, context, message, compute_units=None, collect_access=collect_access, tracer=tracer)
        return replace(result, compute_units=0)

    def _at(self, context: BlockContext) -> EvmBackend:
        fork = self._schedule.at(context.height, context.timestamp)
        fraction = self._schedule.blobs_at(context.timestamp).fee_fraction
        key = fork, fraction
        backend = self._backends.get(key)
        if backend is None:
            backend = self._backends[key] = self._make(fork, fraction)
        return backend

    def _make(self, fork: EthereumFork, fraction: int) -> EvmBackend:
        own = OWN_FORKS.get(fork)
        if own is None:
            return EarlyBackend(fork, self._schedule.chain_id)
        return PyEvmBackend(replace(ethereum_rules(own, self._schedule.chain_id), blob_fee_fraction=fraction))


def _buy_gas(world: WorldState, context: BlockContext, message: CallMessage) -> None:
    if message.gas_price < context.base_fee:
        raise FeeCapTooLow(
            f"max fee per gas less than block base fee: address {hex_address(message.sender)}, "
            f"maxFeePerGas: {message.gas_price}, baseFee: {context.base_fee}"
        )
    cost, balance = message.gas * message.gas_price, world.balance(message.sender)
    if balance < cost + message.value:
        raise cannot_pay(message.sender, balance, cost + message.value)
    world.begin_transaction()
    world.subtract_balance(message.sender, cost)
    world.end_transaction()
