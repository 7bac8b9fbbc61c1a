"""Transactions and calls on py-evm: checks, gas purchase, frames, settlement."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import AccountFrozen, IntrinsicGasTooLow
from cybermiles.types import rlp
from cybermiles.types.primitives import Address
from cybermiles.vm import compute_units as weights
from cybermiles.vm.backend import ExecutionResult
from cybermiles.vm.pyevm.context import TransactionContext
from cybermiles.vm.pyevm.delegation import apply_authorizations
from cybermiles.vm.pyevm.failures import failure_of
from cybermiles.vm.pyevm.frame import Frame
from cybermiles.vm.pyevm.message import Message
from cybermiles.vm.pyevm.opcodes import opcode_table
from cybermiles.vm.pyevm.precompiles import precompile_table
from cybermiles.vm.pyevm.program import RUNS_BEFORE_FUSING, ProgramCache
from cybermiles.vm.pyevm.state import UNLIMITED, State
from cybermiles.vm.pyevm.traced import TracedState, traced
from cybermiles.vm.rules import Fork
from cybermiles.vm.tracing import TraceStart
from cybermiles.vm.validity import (
    DELEGATION_PREFIX,
    GAS_PER_BLOB,
    TRANSACTION_GAS,
    blob_base_fee,
    cannot_pay,
    check_stateful,
    check_static,
    floor_gas,
    gas_needed,
    hex_address,
    intrinsic_gas,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cybermiles.state.world import WorldState
    from cybermiles.types.primitives import Wei
    from cybermiles.types.transaction import AccessList, Transaction
    from cybermiles.vm.backend import BlockContext, CallMessage, GasPayer
    from cybermiles.vm.native import NativeContract
    from cybermiles.vm.pyevm.traced import TracedFrame
    from cybermiles.vm.rules import ChainRules
    from cybermiles.vm.tracing import Tracer

MAX_REFUND_QUOTIENT = 5
"""EIP-3529: at most a fifth of the gas used is given back."""


class PyEvmBackend:
    """`EvmBackend` under one set of rules. Not thread-safe: its code cache belongs to one thread at a time."""

    def __init__(
        self,
        rules: ChainRules,
        native_contracts: Mapping[Address, NativeContract] | None = None,
        *,
        fuse_after: int = RUNS_BEFORE_FUSING,
    ) -> None:
        """`fuse_after`: runs of a piece of code before it is compiled, 0 for never; results do not depend on it."""
        self._rules = rules
        self._precompiles = precompile_table(rules.fork)
        self._frame: type[Frame] = type(
            "ForkFrame",
            (Frame,),
            {
                "programs": ProgramCache(opcode_table(rules.fork), fuse_after=fuse_after),
                "precompile_table": self._precompiles,
                "native_contracts": native_contracts or {},
            },
        )

    @property
    def rules(self) -> ChainRules:
        """The rules this backend was built with."""
        return self._rules

    def execute_transaction(
        self,
        world: WorldState,
        context: BlockContext,
        transaction: Transaction,
        *,
        gas_price: Wei,
        compute_units: int | None,
        free: bool = False,
        payer: GasPayer | None = None,
        tracer: Tracer | None = None,
    ) -> ExecutionResult:
        """See `EvmBackend`."""
        sender = transaction.sender
        fork = self._rules.fork
        check_static(transaction, self._rules, context.gas_limit)
        if sender in context.frozen:
            raise AccountFrozen(f"account frozen: address {hex_address(sender)} can send nothing during its recovery")
        blob_fee = 0
        if transaction.blob_versioned_hashes:
            blob_fee = blob_base_fee(context.excess_blob_gas, fork, self._rules.blob_fee_fraction)
        check_stateful(
            transaction,
            nonce=world.nonce(sender),
            balance=world.balance(sender),
            code=world.code(sender),
            base_fee=context.base_fee,
            blob_fee=blob_fee,
            free=free,
        )
        if tracer is not None:
            tracer.start(world, context, self._transaction_start(transaction))
        world.begin_transaction()
        if payer is not None:
            payer.reserve(world)
        blob_cost = blob_fee * GAS_PER_BLOB * len(transaction.blob_versioned_hashes)
        upfront = transaction.gas_limit * gas_price + blob_cost
        if upfront:
            world.subtract_balance(sender, upfront)
        world.increment_nonce(sender)
        can_meter = compute_units is None or compute_units >= _TRANSFERRED.compute_units
        if can_meter and tracer is None and self._is_transfer(world, transaction):
            result = _transfer(world, transaction)
        else:
            result = self._run(world, context, transaction, gas_price, compute_units, tracer)
        self._settle(world, context, transaction, gas_price, result.gas_used)
        if payer is not None:
            payer.settle(world, result.gas_used)
        if tracer is not None:
            tracer.end(world, result)
        world.end_transaction()
        return result

    def call(
        self,
        world: WorldState,
        context: BlockContext,
        message: CallMessage,
        *,
        compute_units: int | None,
        collect_access: bool = False,
        tracer: Tracer | None = None,
    ) -> ExecutionResult:
        """See `EvmBackend`."""
        needed = intrinsic_gas(message.data, creates=message.to is None, access_list=message.access_list)
        needed_floor = floor_gas(message.data, self._rules.fork)
        if message.gas < max(needed, needed_floor):
            raise IntrinsicGasTooLow(f"intrinsic gas too low: have {message.gas}, want {max(needed, needed_floor)}")
        balance = world.balance(message.sender)
        if balance < message.value:
            raise cannot_pay(message.sender, balance, message.value)
        if message.value and message.sender in context.frozen:
            raise AccountFrozen(f"account frozen: address {hex_address(message.sender)} can send nothing now")
        creator_nonce = world.nonce(message.sender)
        if tracer is not None:
            precompiles = frozenset(self._precompiles)
            begin = TraceStart(message.sender, message.to, message.gas, creator_nonce, (), precompiles)
            tracer.start(world, context, begin)
        world.begin_transaction()
        world.increment_nonce(message.sender)
        state = self._state(world, context, message.data, compute_units, tracer)
        self._warm(state, message.sender, message.to, message.access_list)
        evm_message = _message(
            state,
            sender=message.sender,
            to=message.to,
            gas=message.gas - needed,
            value=message.value,
            data=message.data,
            nonce=creator_nonce,
        )
        frame = self._apply(state, evm_message, TransactionContext(message.gas_price, message.sender, ()))
        accessed: AccessList = ()
        if collect_access:
            left_out = {*self._precompiles, context.coinbase, message.sender, evm_message.storage_address}
            accessed = world.accessed(left_out)
        result = self._result(state, frame, message.gas, needed_floor, compute_units, evm_message, accessed)
        for address in frame.deletions:
            world.delete_account(address)
        if tracer is not None:
            tracer.end(world, result)
        world.end_transaction()
        return result

    def _run(
        self,
        world: WorldState,
        context: BlockContext,
        transaction: Transaction,
        gas_price: int,
        compute_units: int | None,
        tracer: Tracer | None,
    ) -> ExecutionResult:
        sender = transaction.sender
        needed, needed_floor = gas_needed(transaction, self._rules.fork)
        state = self._state(world, context, transaction.data, compute_units, tracer)
        state.compute_units -= weights.AUTHORIZATION * len(transaction.authorizations)
        self._warm(state, sender, transaction.to, transaction.access_list)
        refund = 0
        if transaction.authorizations:
            refund = apply_authorizations(world, transaction, self._rules.chain_id, context.frozen)
        message = _message(
            state,
            sender=sender,
            to=transaction.to,
            gas=transaction.gas_limit - needed,
            value=transaction.value,
            data=transaction.data,
            nonce=transaction.nonce,
            refund=refund,
        )
        frame = self._apply(
            state,
            message,
            TransactionContext(gas_price, sender, transaction.blob_versioned_hashes),
        )
        for address in frame.deletions:
            world.delete_account(address)
        return self._result(state, frame, transaction.gas_limit, needed_floor, compute_units, message)

    def _state(
        self, world: WorldState, context: BlockContext, data: bytes, compute_units: int | None, tracer: Tracer | None
    ) -> State:
        budget = UNLIMITED if compute_units is None else compute_units * weights.TENTHS
        spent = weights.TRANSACTION + (len(data) >> weights.DATA_BYTES_SHIFT)
        if tracer is not None:
            return TracedState(tracer, world, context, self._rules, self._precompiles, budget - spent)
        return State(world, context, self._rules, self._precompiles, budget - spent)

    @cached_property
    def _traced_frames(self) -> tuple[type[TracedFrame], type[TracedFrame]]:
        """Without and with steps. Made when something is traced for the first time."""
        return traced(self._frame, self._rules.fork)

    def _warm(self, state: State, sender: Address, to: Address | None, access_list: AccessList) -> None:
        world = state.world
        world.warm(sender)
        world.warm(state.coinbase)
        if to is not None:
            world.warm(to)
        for address, slots in access_list:
            world.warm(address)
            for slot in slots:
                world.warm_slot(address, slot)

    def _apply(self, state: State, message: Any, context: TransactionContext) -> Frame:  # noqa: ANN401
        if not isinstance(state, TracedState):
            return self._apply_in(self._frame, state, message, context)
        state.enter(message)
        frame = self._apply_in(self._traced_frames[state.has_steps], state, message, context)
        state.leave(frame)
        return frame

    def _apply_in(self, kind: type[Frame], state: State, message: Any, context: TransactionContext) -> Frame:  # noqa: ANN401
        if not message.is_create:
            return kind.apply_message(state, message, context)
        state.compute_units -= weights.CREATION
        state.world.warm(message.storage_address)
        if state.has_code_or_nonce(message.storage_address):
            return kind.collided(state, message, context)
        return kind.apply_create_message(state, message, context)

    def _result(
        self,
        state: State,
        frame: Frame,
        gas_limit: int,
        needed_floor: int,
        compute_units: int | None,
        message: Any,  # noqa: ANN401
        accessed: AccessList = (),
    ) -> ExecutionResult:
        failure = failure_of(frame.failure)
        used = gas_limit - (frame.gas_left if failure is None else frame.get_gas_remaining())
        refund = min(frame.refund if failure is None else frame.get_gas_refund(), used // MAX_REFUND_QUOTIENT)
        budget = UNLIMITED if compute_units is None else compute_units * weights.TENTHS
        spent = min(budget, budget - state.compute_units)
        return ExecutionResult(
            failure=failure,
            gas_used=max(used - refund, needed_floor),
            gas_refund=refund,
            compute_units=-(-spent // weights.TENTHS),
            output=frame.output,
            logs=() if failure is not None else tuple(frame.logs),
            contract_address=message.storage_address if message.is_create else None,
            accessed=accessed,
            loaded_code=tuple(state.loaded_code),
        )

    def _settle(
        self,
        world: WorldState,
        context: BlockContext,
        transaction: Transaction,
        gas_price: int,
        gas_used: int,
    ) -> None:
        if gas_price:
            world.add_balance(transaction.sender, (transaction.gas_limit - gas_used) * gas_price)
        if self._rules.ethereum_fees:
            world.add_balance(context.coinbase, gas_used * (gas_price - context.base_fee))
        elif gas_price:
            world.add_balance(context.fee_recipient, gas_used * gas_price)

    def _transaction_start(self, transaction: Transaction) -> TraceStart:
        signers = (item.authority() for item in transaction.authorizations)
        return TraceStart(
            sender=transaction.sender,
            to=transaction.to,
            gas=transaction.gas_limit,
            nonce=transaction.nonce,
            authorities=tuple(signer for signer in signers if signer is not None),
            precompiles=frozenset(self._precompiles),
        )

    def _is_transfer(self, world: WorldState, transaction: Transaction) -> bool:
        """Whether nothing can run: the direct path gives the same result for a fraction of the time.

        Only where a transfer's compute units are left: at the end of a full block it is counted as what there is.
        """
        to = transaction.to
        return (
            to is not None
            and not transaction.data
            and not transaction.access_list
            and not transaction.authorizations
            and to not in self._precompiles
            and not world.code(to)
        )


def _transfer(world: WorldState, transaction: Transaction) -> ExecutionResult:
    value, to = transaction.value, transaction.to
    if value:
        world.subtract_balance(transaction.sender, value)
    world.add_balance(to, value)  # type: ignore[arg-type]  # a transfer has a recipient
    return _TRANSFERRED


_TRANSFERRED = ExecutionResult(
    failure=None,
    gas_used=TRANSACTION_GAS,
    gas_refund=0,
    compute_units=weights.TRANSACTION // weights.TENTHS,
    output=b"",
    logs=(),
    contract_address=None,
)


def _message(
    state: State,
    *,
    sender: Address,
    to: Address | None,
    gas: int,
    value: int,
    data: bytes,
    nonce: int,
    refund: int = 0,
) -> Any:  # noqa: ANN401
    world = state.world
    if to is None:
        created = contract_address(sender, nonce)
        return Message(
            gas=gas, to=b"", sender=sender, value=value, data=b"", code=data,
            create_address=created, refund=refund,
        )  # fmt: skip
    code = world.code(to)
    code_address = None
    if code.startswith(DELEGATION_PREFIX) and state.rules.fork >= Fork.PRAGUE:
        code_address = Address(code[len(DELEGATION_PREFIX) :])
        world.warm(code_address)
        code = world.code(code_address)
    return Message(
        gas=gas, to=to, sender=sender, value=value, data=data, code=code,
        is_delegation=code_address is not None, refund=refund,
    )  # fmt: skip


def contract_address(sender: Address, nonce: int) -> Address:
    """Return the address of the contract that `sender` creates at `nonce`."""
    return Address(keccak256(rlp.encode([sender, rlp.int_to_bytes(nonce)]))[12:])
