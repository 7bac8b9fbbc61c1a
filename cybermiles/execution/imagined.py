"""Blocks that nobody decided: transactions nobody signed, executed in a row on a committed state.

    imagine_block(chain, parent, plan) ─► ImaginedBlock ─► .following is the parent of the next one

It is the real transition: begin and end of the block, mint and votes among them, run as in a block whose proposer
listed no signatures. With `validate` its transactions are checked, take lanes and pay as in a block. Without, each is
a call as `eth_call` makes it: nobody pays for gas, nonces and code of senders are not looked at, and what it changes
stays for the next one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from cybermiles.chain.fees import Lane, LaneDecision
from cybermiles.errors import CybermilesError, InvariantViolation, NotIncludable
from cybermiles.execution.block import BlockEnvironment, BlockExecution
from cybermiles.execution.log_recorder import LogRecorder
from cybermiles.execution.replay import ReplayedState
from cybermiles.execution.simulate import AccountOverride, BlockOverride, apply_override, check_next_nonce
from cybermiles.types import rlp
from cybermiles.types.primitives import ZERO_HASH, Address, Timestamp, Wei
from cybermiles.types.transaction import DYNAMIC_FEE, AccessList, Authorization, Transaction, unsigned_fields
from cybermiles.vm.backend import CallMessage, Failure
from cybermiles.vm.validity import MAX_TRANSACTION_GAS, TRANSACTION_GAS

if TYPE_CHECKING:
    from cybermiles.execution.outcome import TransactionOutcome
    from cybermiles.execution.parent import Chain, Parent
    from cybermiles.state.world import WorldState
    from cybermiles.types.header import Header
    from cybermiles.types.receipt import Log
    from cybermiles.vm.backend import ExecutionResult
    from cybermiles.vm.tracing import Tracer

COMPUTE_UNITS_USED_UP = "the calls used up the compute units of a simulation, which are those of one block"
_NO_SIGNATURE = b"\x80\x80\x80"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImaginedCall:
    """A transaction nobody signed. What is None is filled in where it runs."""

    sender: Address
    to: Address | None
    type: int = DYNAMIC_FEE
    gas: int | None = None
    nonce: int | None = None
    fee_cap: int = 0
    """Wei per gas; a legacy gas price is both, as in `types.transaction`."""
    tip: int = 0
    value: int = 0
    data: bytes = b""
    access_list: AccessList = ()
    authorizations: tuple[Authorization, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockPlan:
    """What one imagined block is made of. Its height is its parent's + 1, whatever `block` says."""

    timestamp: int
    """After the parent's."""
    block: BlockOverride = field(default_factory=BlockOverride)
    accounts: dict[Address, AccountOverride] = field(default_factory=dict)
    """Replaced before the first call."""
    calls: tuple[ImaginedCall, ...] = ()


@dataclass(slots=True)
class Allowance:
    """What all blocks of one request may still use."""

    gas: int
    compute_units: int
    gas_per_call: int


class AllowanceUsedUp(CybermilesError):
    """All blocks together take more than one request may."""


class CallOutcome(NamedTuple):
    """What one call did."""

    result: ExecutionResult
    logs: tuple[Log, ...]
    """With movements of coins among them where they were asked for; none where it failed."""


class ImaginedBlock(NamedTuple):
    """A block with what came out of it."""

    header: Header
    transactions: tuple[Transaction, ...]
    outcomes: tuple[TransactionOutcome, ...]
    calls: tuple[CallOutcome, ...]
    following: Parent
    """This block as the parent of the next one."""


def imagine_block(
    chain: Chain, parent: Parent, plan: BlockPlan, allowance: Allowance, *, validate: bool, transfers: bool
) -> ImaginedBlock:
    """Execute one block. `allowance` becomes smaller; `transfers` reports movements of coins as logs.

    Raises InvalidTransaction where a call could not be in the block, NotIncludable where no room is left for it.
    """
    block = plan.block
    if block.gas_limit is not None:
        parent = replace(parent, params=replace(parent.params, block_gas_limit=block.gas_limit))
    environment = BlockEnvironment(
        timestamp=Timestamp(plan.timestamp),
        coinbase=parent.header.coinbase if block.coinbase is None else block.coinbase,
        prev_randao=ZERO_HASH if block.prev_randao is None else block.prev_randao,
        extra_data=b"",
        misbehaviour=(),
    )
    execution = _Execution(chain, parent, environment)
    execution.override(plan.accounts)
    calls = tuple(execution.run(call, allowance, validate=validate, transfers=transfers) for call in plan.calls)
    outcome = execution.seal()
    state = ReplayedState(parent, outcome.changes, outcome.root_update)
    members = parent.next_validators
    following = replace(
        parent,
        header=outcome.header,
        state=state,
        nodes=state,
        params=outcome.next_params,
        validators=members,
        next_validators=outcome.validator_updates or members,
    )
    return ImaginedBlock(outcome.header, execution.transactions, outcome.transactions, calls, following)


class _Execution(BlockExecution):
    """A block that also takes calls."""

    def override(self, accounts: dict[Address, AccountOverride]) -> None:
        """Replace parts of accounts, as if the block before had left them so."""
        self._world.begin_transaction()
        for address, override in accounts.items():
            apply_override(self._world, address, override)
        self._world.end_transaction()

    def run(self, call: ImaginedCall, allowance: Allowance, *, validate: bool, transfers: bool) -> CallOutcome:
        """Execute one call as the block's next transaction."""
        transaction = self._transaction(call, allowance)
        recorder = _Recorder(with_transfers=transfers)
        if validate or call.authorizations:
            outcome = self.apply(transaction, recorder) if validate else self._unpaid(transaction, recorder, allowance)
        else:
            outcome = self._called(transaction, recorder, allowance)
        if recorder.result is None:
            raise InvariantViolation("a call ended without a result")
        cut = allowance.compute_units < self._context.params.compute_units_per_transaction
        if cut and recorder.result.failure is Failure.COMPUTE_BUDGET:
            raise AllowanceUsedUp(COMPUTE_UNITS_USED_UP)
        allowance.gas -= outcome.gas_used
        allowance.compute_units -= outcome.compute_units
        if not outcome.receipt.succeeded:
            return CallOutcome(recorder.result, ())
        return CallOutcome(recorder.result, recorder.logs if transfers else outcome.receipt.logs)

    def _transaction(self, call: ImaginedCall, allowance: Allowance) -> Transaction:
        if allowance.gas < TRANSACTION_GAS:
            raise AllowanceUsedUp("the calls used up the gas of a simulation")
        if allowance.compute_units <= 0:
            raise AllowanceUsedUp(COMPUTE_UNITS_USED_UP)
        room = self._context.gas_limit - self._gas_used
        gas = min(room, allowance.gas, allowance.gas_per_call, MAX_TRANSACTION_GAS) if call.gas is None else call.gas
        if gas > room:
            raise NotIncludable(f"block gas limit reached: {self._gas_used} used, {gas} wanted, {room} left")
        own = self._world.nonce(call.sender)
        check_next_nonce(own)
        nonce = own if call.nonce is None else call.nonce
        return unsigned_transaction(call, gas=min(gas, allowance.gas), nonce=nonce, chain_id=self._chain.chain_id)

    def _decision(self, allowance: Allowance) -> LaneDecision:
        budget = min(self._context.params.compute_units_per_transaction, allowance.compute_units)
        return LaneDecision(Lane.PAID, Wei(0), Wei(0), budget, cut_by_block=False)

    def _called(self, transaction: Transaction, tracer: Tracer, allowance: Allowance) -> TransactionOutcome:
        decision = self._decision(allowance)
        message = CallMessage(
            sender=transaction.sender,
            to=transaction.to,
            gas=transaction.gas_limit,
            gas_price=transaction.effective_gas_price(0),
            value=transaction.value,
            data=transaction.data,
            access_list=transaction.access_list,
        )
        result = self._chain.backend.call(
            self._world, self._context, message, compute_units=decision.compute_units, tracer=tracer
        )
        return self._keep(transaction, decision, result, result.logs)

    def _unpaid(self, transaction: Transaction, tracer: Tracer, allowance: Allowance) -> TransactionOutcome:
        """Execute what calls cannot express: EIP-7702 authorizations."""
        decision = self._decision(allowance)
        result = self._chain.backend.execute_transaction(
            self._world,
            self._context,
            transaction,
            gas_price=Wei(0),
            compute_units=decision.compute_units,
            free=True,
            tracer=tracer,
        )
        return self._keep(transaction, decision, result, result.logs)


def unsigned_transaction(call: ImaginedCall, *, gas: int, nonce: int, chain_id: int) -> Transaction:
    """Return the transaction with the signature 0, 0, 0, which its hash covers; the sender is taken at its word."""
    draft = _draft(call, gas, nonce, chain_id, b"")
    prefix = bytes((call.type,)) if call.type else b""
    return _draft(call, gas, nonce, chain_id, prefix + rlp.encode_list([*unsigned_fields(draft), _NO_SIGNATURE]))


def _draft(call: ImaginedCall, gas: int, nonce: int, chain_id: int, raw: bytes) -> Transaction:
    return Transaction(
        type=call.type,
        chain_id=chain_id,
        nonce=nonce,
        max_priority_fee_per_gas=call.tip,
        max_fee_per_gas=call.fee_cap,
        gas_limit=gas,
        to=call.to,
        value=call.value,
        data=call.data,
        y_parity=0,
        r=0,
        s=0,
        raw=raw,
        access_list=call.access_list,
        authorizations=call.authorizations,
        sender=call.sender,
    )


class _Recorder(LogRecorder):
    """Keeps the result with the logs."""

    result: ExecutionResult | None = None

    def end(self, world: WorldState, result: ExecutionResult) -> None:  # noqa: ARG002  (the seam)
        self.result = result
