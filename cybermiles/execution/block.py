"""THE state transition: one block executed on its parent's state.

`BlockExecution` runs a block transaction by transaction. The proposer's builder and the validator's check
(`apply_block`) both drive it, so they cannot disagree: a transaction is in a block only if `apply` takes it,
and the header a proposer writes is the one `seal` derives.

    BlockExecution(chain, parent, …)   begin: the parent's hash goes into the EIP-2935 contract; absences, evidence
        .apply(transaction)            lane → EVM → receipt; refused transactions leave no trace
        .seal()                        end: votes that close, mint, exits, awards, election, roots, bloom

Nothing here reads a clock, a disk or a configuration file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.chain.fees import Lane, LaneBook
from cybermiles.chain.predeploys import FEES, GOVERNANCE, HISTORY_CONTRACT, SLASHING, STAKING, VESTING
from cybermiles.errors import NotIncludable
from cybermiles.execution.begin_block import begin_block
from cybermiles.execution.end_block import end_block
from cybermiles.execution.outcome import BlockOutcome, TransactionOutcome
from cybermiles.governance.end import end_governance
from cybermiles.governance.holds import frozen_accounts
from cybermiles.governance.state import governance_state
from cybermiles.sponsorship.lane import DepositSponsors, SponsoredGas, note_free_lane
from cybermiles.staking.state import staking_state
from cybermiles.staking.supply import issue
from cybermiles.state.slots import ReadStorage
from cybermiles.state.trie import ordered_root, update_root
from cybermiles.state.world import WorldState
from cybermiles.system.abi import load_abi
from cybermiles.system.events import EventCollector
from cybermiles.types.header import Header
from cybermiles.types.primitives import Hash32, Wei
from cybermiles.types.receipt import Receipt, logs_bloom
from cybermiles.types.transaction import check_chain_id
from cybermiles.vm.backend import BlockContext, Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cybermiles.chain.fees import LaneDecision
    from cybermiles.execution.begin_block import SignedVote
    from cybermiles.execution.parent import Chain, Parent
    from cybermiles.state.reader import StateReader
    from cybermiles.types.evidence import Misbehaviour
    from cybermiles.types.primitives import Address, Timestamp
    from cybermiles.types.receipt import Log
    from cybermiles.types.transaction import Transaction
    from cybermiles.vm.backend import ExecutionResult, GasPayer
    from cybermiles.vm.tracing import Tracer

HISTORY_SERVE_WINDOW = 8191
"""Ancestor hashes the EIP-2935 contract keeps."""
BLOCKHASH_WINDOW = 256
"""Ancestors the BLOCKHASH opcode may ask for."""
MAX_FAILURE_OUTPUT = 1024
"""Bytes of revert data kept with an outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEnvironment:
    """The inputs of a block besides its transactions, fixed before the first one runs."""

    timestamp: Timestamp
    coinbase: Address
    """The proposer's operator address."""
    prev_randao: Hash32
    extra_data: bytes
    """Commitment to the consensus fields."""
    misbehaviour: tuple[Misbehaviour, ...]
    """What the block's evidence proves."""
    signed: tuple[SignedVote, ...] = ()
    """Who was asked to sign the parent and who did; empty in block 1."""


class BlockExecution:
    """One block in the making. Owned by one thread, used once."""

    def __init__(self, chain: Chain, parent: Parent, environment: BlockEnvironment) -> None:
        self._chain = chain
        self._parent = parent
        self._environment = environment
        self._height = parent.header.height + 1
        self._world = WorldState(parent.state)
        price = parent.params.min_gas_price
        self._lanes = LaneBook(parent.params, DepositSponsors(self._world, price, environment.timestamp))
        self._transactions: list[Transaction] = []
        self._outcomes: list[TransactionOutcome] = []
        self._gas_used = 0
        self._fees = 0
        self._size = 0
        self._loaded_code: dict[bytes, None] = {}
        self._context = BlockContext(
            height=self._height,
            timestamp=environment.timestamp,
            coinbase=environment.coinbase,
            gas_limit=parent.params.block_gas_limit,
            prev_randao=environment.prev_randao,
            base_fee=0,
            fee_recipient=STAKING,
            block_hash=ancestor_hashes(self._world, self._height),
            params=parent.params,
            genesis_hash=chain.genesis_hash,
            frozen=frozen_accounts(ReadStorage(self._world, GOVERNANCE), environment.timestamp),
            loaded_code=self._loaded_code,
        )
        self._system_logs: list[Log] = []
        self._governance = governance_state(
            self._world,
            parent.params,
            height=self._height,
            time=environment.timestamp,
            events=EventCollector(GOVERNANCE, load_abi("ICmtGovernance"), self._system_logs),
        )
        self._staking = staking_state(
            self._world,
            parent.params,
            height=self._height,
            time=environment.timestamp,
            events=EventCollector(STAKING, load_abi("ICmtStaking"), self._system_logs),
            faults=EventCollector(SLASHING, load_abi("ICmtSlashing"), self._system_logs),
        )
        self._begin()

    @property
    def world(self) -> WorldState:
        """The state after what was applied so far. For reading between transactions."""
        return self._world

    @property
    def transactions(self) -> tuple[Transaction, ...]:
        """Transactions applied so far."""
        return tuple(self._transactions)

    def apply(self, transaction: Transaction, tracer: Tracer | None = None) -> TransactionOutcome:
        """Execute the next transaction, watched by `tracer`, and return its outcome.

        Raises InvalidTransaction where it can never be valid on this state, and NotIncludable where only
        this block has no room for it; in both cases the block is as it was before.
        """
        chain, world = self._chain, self._world
        check_chain_id(transaction, chain.chain_id, allow_unprotected=chain.allow_unprotected)
        if self._size + transaction.size > self._parent.params.max_block_bytes:
            raise NotIncludable("block size limit reached")
        decision = self._lanes.assign(transaction)
        sponsor_logs: list[Log] = []
        result = chain.backend.execute_transaction(
            world,
            self._context,
            transaction,
            gas_price=decision.gas_price,
            compute_units=decision.compute_units,
            free=decision.lane is not Lane.PAID,
            payer=self._payer(transaction, decision, sponsor_logs),
            tracer=tracer,
        )
        if result.failure is Failure.COMPUTE_BUDGET and decision.cut_by_block:
            world.undo_transaction()
            raise NotIncludable("block compute budget reached")
        logs = (*result.logs, *sponsor_logs) if sponsor_logs else result.logs
        return self._keep(transaction, decision, result, logs)

    def _keep(
        self, transaction: Transaction, decision: LaneDecision, result: ExecutionResult, logs: tuple[Log, ...]
    ) -> TransactionOutcome:
        """Count an executed transaction as the block's newest."""
        self._lanes.record(
            transaction,
            decision,
            gas_used=result.gas_used,
            compute_units=result.compute_units,
        )
        for code in result.loaded_code:
            self._loaded_code[code] = None
        self._gas_used += result.gas_used
        self._fees += result.gas_used * (decision.gas_price + decision.sponsor_price)
        self._size += transaction.size
        outcome = TransactionOutcome(
            receipt=Receipt(
                transaction_type=transaction.type,
                succeeded=result.failure is None,
                cumulative_gas_used=self._gas_used,
                logs=logs,
                bloom=logs_bloom(logs),
            ),
            gas_used=result.gas_used,
            effective_gas_price=decision.gas_price,
            lane=decision.lane,
            compute_units=result.compute_units,
            contract_address=result.contract_address,
            failure=None if result.failure is None else result.failure.value,
            output=result.output[:MAX_FAILURE_OUTPUT] if result.failure is not None else b"",
        )
        self._transactions.append(transaction)
        self._outcomes.append(outcome)
        return outcome

    def seal(self) -> BlockOutcome:
        """Pay exits and awards, elect validators, compute every root and return the finished block's outcome."""
        parent, environment = self._parent, self._environment
        self._world.begin_transaction()
        note_free_lane(self._world, slots=self._lanes.free_slots, gas=self._lanes.free_gas, height=self._height)
        following = end_governance(self._governance)
        minted = issue(self._staking, parent.header.timestamp)
        vesting = EventCollector(VESTING, load_abi("ICmtVesting"), self._system_logs)
        elected = end_block(self._staking, environment.signed, vesting, minted=minted, fees=Wei(self._fees))
        self._world.end_transaction()
        if self._chain.election is not None:
            elected = self._chain.election.elect(self._world, self._height, environment.misbehaviour)
        changes = self._world.changes()
        update = update_root(parent.nodes, parent.state, parent.header.state_root, changes)
        header = Header(
            parent_hash=parent.header.hash,
            coinbase=environment.coinbase,
            state_root=update.root,
            transactions_root=ordered_root([tx.raw for tx in self._transactions]),
            receipts_root=ordered_root([o.receipt.encode() for o in self._outcomes]),
            logs_bloom=_union(o.receipt.bloom for o in self._outcomes if o.receipt.logs),
            height=self._height,
            gas_limit=parent.params.block_gas_limit,
            gas_used=self._gas_used,
            timestamp=environment.timestamp,
            extra_data=environment.extra_data,
            prev_randao=environment.prev_randao,
        )
        return BlockOutcome(
            header=header,
            transactions=tuple(self._outcomes),
            changes=changes,
            root_update=update,
            minted=minted,
            fees=Wei(self._fees),
            burnt=Wei(self._world.burnt),
            free_gas=self._lanes.free_gas,
            compute_units=self._lanes.compute_units,
            misbehaviour=environment.misbehaviour,
            validator_updates=elected,
            next_params=following,
            frozen=frozen_accounts(self._governance.storage, environment.timestamp),
            system_logs=tuple(self._system_logs),
        )

    def _payer(self, transaction: Transaction, decision: LaneDecision, logs: list[Log]) -> GasPayer | None:
        """Return who pays in the sender's place; what it reports goes to `logs`."""
        if decision.lane is not Lane.SPONSORED or transaction.to is None:
            return None
        return SponsoredGas(
            target=transaction.to,
            user=transaction.sender,
            gas_limit=transaction.gas_limit,
            price=decision.sponsor_price,
            recipient=self._context.fee_recipient,
            time=self._context.timestamp,
            events=EventCollector(FEES, load_abi("ICmtFees"), logs),
        )

    def _begin(self) -> None:
        """EIP-2935: the history contract learns the parent's hash before the first transaction. Then the faults."""
        world, parent, environment = self._world, self._parent.header, self._environment
        world.begin_transaction()
        world.set_storage(HISTORY_CONTRACT, parent.height % HISTORY_SERVE_WINDOW, int.from_bytes(parent.hash))
        begin_block(self._staking, environment.signed, environment.misbehaviour)
        world.end_transaction()


def ancestor_hashes(state: StateReader | WorldState, height: int) -> Callable[[int], Hash32 | None]:
    """Return the BLOCKHASH lookup inside the block at `height`, answered from the state itself.

    The history contract holds every ancestor, so a block needs nothing beside its parent's state.
    """

    def lookup(ancestor: int) -> Hash32 | None:
        if not max(0, height - BLOCKHASH_WINDOW) <= ancestor < height:
            return None
        return Hash32(state.storage(HISTORY_CONTRACT, ancestor % HISTORY_SERVE_WINDOW).to_bytes(32))

    return lookup


def _union(blooms: Iterable[bytes]) -> bytes:
    bits = 0
    for bloom in blooms:
        bits |= int.from_bytes(bloom)
    return bits.to_bytes(256)
