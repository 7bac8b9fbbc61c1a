"""Ethereum's forks before Cancun, for foreign chains: py-evm's own frames over this node's world state.

No chain of ours runs them, so they are as slow as py-evm is. What py-evm leaves to its transaction executor (intrinsic
gas, refunds, who is paid) is here, by fork. Before Spurious Dragon an account could stay in the state empty; this world
state drops it as later forks do, so a chain that relies on that is refused by its state roots.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from eth.exceptions import ContractCreationCollision
from eth.vm.forks.berlin.computation import BerlinComputation
from eth.vm.forks.byzantium.computation import ByzantiumComputation
from eth.vm.forks.constantinople.computation import ConstantinopleComputation
from eth.vm.forks.frontier.computation import FrontierComputation
from eth.vm.forks.frontier.transaction_context import FrontierTransactionContext
from eth.vm.forks.homestead.computation import HomesteadComputation
from eth.vm.forks.istanbul.computation import IstanbulComputation
from eth.vm.forks.london.computation import LondonComputation
from eth.vm.forks.paris.computation import ParisComputation
from eth.vm.forks.petersburg.computation import PetersburgComputation
from eth.vm.forks.shanghai.computation import ShanghaiComputation
from eth.vm.forks.spurious_dragon.computation import SpuriousDragonComputation
from eth.vm.forks.tangerine_whistle.computation import TangerineWhistleComputation
from eth.vm.message import Message

from cybermiles.errors import (
    GasLimitExceeded,
    InitcodeTooLarge,
    IntrinsicGasTooLow,
    InvalidTransaction,
    TipAboveFeeCap,
    UnsupportedTransactionType,
)
from cybermiles.types.primitives import Address, Hash32
from cybermiles.types.receipt import Log
from cybermiles.types.transaction import ACCESS_LIST, DYNAMIC_FEE, LEGACY
from cybermiles.vm.backend import ExecutionResult
from cybermiles.vm.ethereum import EthereumFork
from cybermiles.vm.pyevm.backend import contract_address
from cybermiles.vm.pyevm.failures import failure_of
from cybermiles.vm.pyevm.precompiles import MODEXP, modexp_berlin, modexp_byzantium
from cybermiles.vm.pyevm.state import UNLIMITED, State
from cybermiles.vm.rules import Fork, ethereum_rules
from cybermiles.vm.validity import (
    ACCESS_LIST_ADDRESS_GAS,
    ACCESS_LIST_SLOT_GAS,
    CREATION_GAS,
    INITCODE_WORD_GAS,
    MAX_INITCODE_BYTES,
    NON_ZERO_BYTE_GAS,
    TRANSACTION_GAS,
    ZERO_BYTE_GAS,
    cannot_pay,
    check_stateful,
)

if TYPE_CHECKING:
    from cybermiles.state.world import WorldState
    from cybermiles.types.primitives import ChainId, Wei
    from cybermiles.types.transaction import AccessList, Transaction
    from cybermiles.vm.backend import BlockContext, CallMessage, GasPayer
    from cybermiles.vm.rules import ChainRules
    from cybermiles.vm.tracing import Tracer

_COMPUTATIONS: dict[EthereumFork, type[Any]] = {
    EthereumFork.FRONTIER: FrontierComputation,
    EthereumFork.HOMESTEAD: HomesteadComputation,
    EthereumFork.TANGERINE_WHISTLE: TangerineWhistleComputation,
    EthereumFork.SPURIOUS_DRAGON: SpuriousDragonComputation,
    EthereumFork.BYZANTIUM: ByzantiumComputation,
    EthereumFork.CONSTANTINOPLE: ConstantinopleComputation,
    EthereumFork.PETERSBURG: PetersburgComputation,
    EthereumFork.ISTANBUL: IstanbulComputation,
    EthereumFork.BERLIN: BerlinComputation,
    EthereumFork.LONDON: LondonComputation,
    EthereumFork.PARIS: ParisComputation,
    EthereumFork.SHANGHAI: ShanghaiComputation,
}
_FIRST_FORK_OF_TYPE = {
    LEGACY: EthereumFork.FRONTIER,
    ACCESS_LIST: EthereumFork.BERLIN,
    DYNAMIC_FEE: EthereumFork.LONDON,
}
MODEXP_ADDRESS = Address(MODEXP.to_bytes(20))
_OLD_NON_ZERO_BYTE_GAS = 68
"""Before EIP-2028 (Istanbul)."""
_SELFDESTRUCT_REFUND = 24_000
"""Before EIP-3529 (London)."""
_OLD_REFUND_QUOTIENT, _REFUND_QUOTIENT = 2, 5
"""Part of the gas used that is given back at most: a half, from London (EIP-3529) a fifth."""


class _Start(NamedTuple):
    """What a frame begins with, of a transaction or of a call."""

    sender: Address
    to: Address | None
    nonce: int
    gas_limit: int
    gas_price: int
    value: int
    data: bytes
    access_list: AccessList


class EarlyBackend:
    """`EvmBackend` under one fork from Frontier to Shanghai. Unmetered but for gas."""

    def __init__(self, fork: EthereumFork, chain_id: ChainId) -> None:
        self._fork = fork
        self._rules = ethereum_rules(Fork.CANCUN, chain_id)
        self._computation = _frames(fork)
        self._precompiles = {Address(address): None for address in self._computation.get_precompiles()}

    @property
    def rules(self) -> ChainRules:
        """Ethereum's fees and the chain id; the fork is not one of `vm.rules`."""
        return self._rules

    def execute_transaction(
        self,
        world: WorldState,
        context: BlockContext,
        transaction: Transaction,
        *,
        gas_price: Wei,
        compute_units: int | None,  # noqa: ARG002  (Ethereum has no second meter)
        free: bool = False,
        payer: GasPayer | None = None,  # noqa: ARG002  (nor sponsors)
        tracer: Tracer | None = None,
    ) -> ExecutionResult:
        """See `EvmBackend`."""
        _refuse_to_trace(tracer)
        sender = transaction.sender
        self._check(transaction, context.gas_limit)
        check_stateful(
            transaction,
            nonce=world.nonce(sender),
            balance=world.balance(sender),
            code=world.code(sender),
            base_fee=context.base_fee,
            free=free,
        )
        world.begin_transaction()
        world.subtract_balance(sender, transaction.gas_limit * gas_price)
        world.increment_nonce(sender)
        start = _Start(
            sender,
            transaction.to,
            transaction.nonce,
            transaction.gas_limit,
            gas_price,
            transaction.value,
            transaction.data,
            transaction.access_list,
        )
        result, deleted = self._run(world, context, start)
        world.add_balance(sender, (transaction.gas_limit - result.gas_used) * gas_price)
        world.add_balance(context.coinbase, result.gas_used * (gas_price - context.base_fee))
        for address in deleted:
            world.delete_account(address)
        world.end_transaction()
        return result

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
        """See `EvmBackend`."""
        _refuse_to_trace(tracer)
        needed = self._intrinsic_gas(message.data, creates=message.to is None, access_list=message.access_list)
        if message.gas < needed:
            raise IntrinsicGasTooLow(f"intrinsic gas too low: have {message.gas}, want {needed}")
        balance = world.balance(message.sender)
        if balance < message.value:
            raise cannot_pay(message.sender, balance, message.value)
        world.begin_transaction()
        nonce = world.nonce(message.sender)
        world.increment_nonce(message.sender)
        start = _Start(
            message.sender,
            message.to,
            nonce,
            message.gas,
            message.gas_price,
            message.value,
            message.data,
            message.access_list,
        )
        result, deleted = self._run(world, context, start, collect_access=collect_access)
        for address in deleted:
            world.delete_account(address)
        world.end_transaction()
        return result

    def _check(self, transaction: Transaction, block_gas_limit: int) -> None:
        first = _FIRST_FORK_OF_TYPE.get(transaction.type)
        if first is None or self._fork < first:
            raise UnsupportedTransactionType(f"transaction type not supported: {transaction.type}")
        if transaction.gas_limit > block_gas_limit:
            raise GasLimitExceeded(f"exceeds block gas limit: {transaction.gas_limit} over {block_gas_limit}")
        if transaction.max_priority_fee_per_gas > transaction.max_fee_per_gas:
            raise TipAboveFeeCap("max priority fee per gas higher than max fee per gas")
        size = len(transaction.data)
        if self._fork >= EthereumFork.SHANGHAI and transaction.to is None and size > MAX_INITCODE_BYTES:
            raise InitcodeTooLarge(f"max initcode size exceeded: code size {size}, limit {MAX_INITCODE_BYTES}")
        needed = self._intrinsic_gas(
            transaction.data, creates=transaction.to is None, access_list=transaction.access_list
        )
        if transaction.gas_limit < needed:
            raise IntrinsicGasTooLow(f"intrinsic gas too low: have {transaction.gas_limit}, want {needed}")

    def _intrinsic_gas(self, data: bytes, *, creates: bool, access_list: AccessList) -> int:
        zeros = data.count(0)
        byte_gas = NON_ZERO_BYTE_GAS if self._fork >= EthereumFork.ISTANBUL else _OLD_NON_ZERO_BYTE_GAS
        gas = TRANSACTION_GAS + ZERO_BYTE_GAS * zeros + byte_gas * (len(data) - zeros)
        if creates and self._fork >= EthereumFork.HOMESTEAD:
            gas += CREATION_GAS
        if creates:
            gas += self._initcode_gas(data)
        return gas + sum(ACCESS_LIST_ADDRESS_GAS + ACCESS_LIST_SLOT_GAS * len(slots) for _, slots in access_list)

    def _initcode_gas(self, data: bytes) -> int:
        return INITCODE_WORD_GAS * ((len(data) + 31) // 32) if self._fork >= EthereumFork.SHANGHAI else 0

    def _run(
        self, world: WorldState, context: BlockContext, start: _Start, *, collect_access: bool = False
    ) -> tuple[ExecutionResult, list[Address]]:
        """Return the result, and the accounts that end with the transaction."""
        state = State(world, context, self._rules, self._precompiles, UNLIMITED)
        creates = start.to is None
        needed = self._intrinsic_gas(start.data, creates=creates, access_list=start.access_list)
        if creates:
            needed -= self._initcode_gas(start.data)  # py-evm charges it when the frame begins
        message = _message(world, start, start.gas_limit - needed)
        if self._fork >= EthereumFork.BERLIN:
            _warm(world, start, message.storage_address)
        frame = self._frame(state, message, FrontierTransactionContext(start.gas_price, start.sender))
        deleted = [Address(address) for address in frame.get_accounts_for_deletion()]
        used = start.gas_limit - frame.get_gas_remaining()
        refund = self._refund(frame, len(deleted), used)
        failure = failure_of(frame.error if frame.is_error else None)
        accessed: AccessList = ()
        if collect_access:
            accessed = world.accessed({*self._precompiles, context.coinbase, start.sender, message.storage_address})
        result = ExecutionResult(
            failure=failure,
            gas_used=used - refund,
            gas_refund=refund,
            compute_units=0,
            output=frame.output,
            logs=() if failure is not None else tuple(_log(*entry) for entry in frame.get_log_entries()),
            contract_address=Address(message.storage_address) if message.is_create else None,
            accessed=accessed,
        )
        return result, deleted

    def _frame(self, state: State, message: Any, context: Any) -> Any:  # noqa: ANN401  (py-evm is untyped)
        if not message.is_create:
            return self._computation.apply_message(state, message, context)
        if state.has_code_or_nonce(message.storage_address):
            frame = self._computation(state, message, context)
            frame.error = ContractCreationCollision("contract address collision")
            return frame
        return self._computation.apply_create_message(state, message, context)

    def _refund(self, frame: Any, deletions: int, used: int) -> int:  # noqa: ANN401  (py-evm is untyped)
        if self._fork >= EthereumFork.LONDON:
            return int(min(frame.get_gas_refund(), used // _REFUND_QUOTIENT))
        return int(min(frame.get_gas_refund() + _SELFDESTRUCT_REFUND * deletions, used // _OLD_REFUND_QUOTIENT))


def _frames(fork: EthereumFork) -> type[Any]:
    """Return py-evm's frames of a fork with our MODEXP: py-evm's gets 0^0 and some prices wrong."""
    frames = _COMPUTATIONS[fork]
    if fork < EthereumFork.BYZANTIUM:
        return frames
    modexp = modexp_berlin if fork >= EthereumFork.BERLIN else modexp_byzantium
    return type("EarlyFrame", (frames,), {"_precompiles": {**frames.get_precompiles(), MODEXP_ADDRESS: modexp}})


def _message(world: WorldState, start: _Start, gas: int) -> Any:  # noqa: ANN401  (py-evm is untyped)
    if start.to is None:
        return Message(
            gas=gas, to=b"", sender=start.sender, value=start.value, data=b"", code=start.data,
            create_address=contract_address(start.sender, start.nonce),
        )  # fmt: skip
    return Message(
        gas=gas, to=start.to, sender=start.sender, value=start.value, data=start.data, code=world.code(start.to)
    )


def _warm(world: WorldState, start: _Start, recipient: Address) -> None:
    world.warm(start.sender)
    world.warm(recipient)
    for address, slots in start.access_list:
        world.warm(address)
        for slot in slots:
            world.warm_slot(address, slot)


def _log(address: bytes, topics: tuple[int, ...], data: bytes) -> Log:
    return Log(Address(address), tuple(Hash32(topic.to_bytes(32)) for topic in topics), data)


def _refuse_to_trace(tracer: Tracer | None) -> None:
    """Say that py-evm's own frames tell nobody what they do. Raises InvalidTransaction."""
    if tracer is not None:
        raise InvalidTransaction("executions under rules before Cancun cannot be traced")
