"""All that the rest of the node may know of the EVM."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from cybermiles.chain.params import ChainParams
from cybermiles.types.primitives import ZERO_HASH

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from cybermiles.state.world import WorldState
    from cybermiles.types.primitives import Address, Hash32, Wei
    from cybermiles.types.receipt import Log
    from cybermiles.types.transaction import AccessList, Transaction
    from cybermiles.vm.rules import ChainRules
    from cybermiles.vm.tracing import Tracer

_DEFAULT_PARAMS = ChainParams()


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockContext:
    """What the opcodes may ask about the block being executed."""

    height: int
    timestamp: int
    coinbase: Address
    gas_limit: int
    prev_randao: Hash32
    base_fee: int
    """Wei per gas; 0 for ever on CyberMiles."""
    fee_recipient: Address
    """Who is credited the fee: the award pool (CyberMiles) or the coinbase (Ethereum)."""
    block_hash: Callable[[int], Hash32 | None]
    """Hash of an ancestor by height, None outside the last 256."""
    excess_blob_gas: int = 0
    params: ChainParams = _DEFAULT_PARAMS
    """In force in this block; for native contracts."""
    genesis_hash: Hash32 = ZERO_HASH
    """Names the chain in what validators sign; for native contracts that check evidence."""
    frozen: Container[Address] = ()
    """Accounts that can send no transaction and that no value leaves; they receive."""
    loaded_code: Container[bytes] = ()
    """What earlier transactions of the block ran: loading it is paid for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMessage:
    """A read-only call, as `eth_call` states it: nothing is charged and nothing is signed."""

    sender: Address
    to: Address | None
    gas: int
    gas_price: int = 0
    """What the GASPRICE opcode answers."""
    value: int = 0
    data: bytes = b""
    access_list: AccessList = ()


class Failure(StrEnum):
    """Why an execution did not succeed; the values are geth's phrases."""

    REVERT = "execution reverted"
    OUT_OF_GAS = "out of gas"
    COMPUTE_BUDGET = "compute budget exceeded"
    INVALID_OPCODE = "invalid opcode"
    INVALID_JUMP = "invalid jump destination"
    STACK_UNDERFLOW = "stack underflow"
    STACK_OVERFLOW = "stack limit reached 1024 (1023)"
    WRITE_PROTECTION = "write protection"
    CONTRACT_COLLISION = "contract address collision"
    CODE_SIZE = "max code size exceeded"
    INVALID_CODE = "invalid code: must not begin with 0xef"
    RETURN_DATA_BOUNDS = "return data out of bounds"
    INSUFFICIENT_BALANCE = "insufficient balance for transfer"
    CALL_DEPTH = "max call depth exceeded"
    PRECOMPILE = "precompile failed"
    OTHER = "execution failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionResult:
    """What one transaction or call did."""

    failure: Failure | None
    """None when it succeeded."""
    gas_used: int
    """After refunds and the EIP-7623 floor: what is charged."""
    gas_refund: int
    """Part of the refund counter that was granted."""
    compute_units: int
    """Units of the second meter used."""
    output: bytes
    """Returned bytes, or the revert data."""
    logs: tuple[Log, ...]
    """Empty when it failed."""
    contract_address: Address | None
    """The address created by a creation transaction, also when that failed."""
    accessed: AccessList = ()
    """Addresses and slots touched, only filled when asked for (`eth_createAccessList`)."""
    loaded_code: tuple[bytes, ...] = ()
    """Code that it ran and the block had not."""


class GasPayer(Protocol):
    """Who pays for a transaction's gas in its sender's place."""

    def reserve(self, world: WorldState) -> None:
        """Set aside the most that the gas may cost, before the first opcode."""
        ...

    def settle(self, world: WorldState, gas_used: int) -> None:
        """Pay for the gas used and take the rest back, after the last opcode, whether the transaction failed or not."""
        ...


class EvmBackend(Protocol):
    """One EVM under one set of rules. Holds no state of its own between calls but caches."""

    @property
    def rules(self) -> ChainRules:
        """The rules this backend was built with."""
        ...

    def execute_transaction(  # noqa: PLR0913  (what an execution depends on, all named)
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
        """Execute a transaction on `world` and settle its gas at `gas_price`.

        `compute_units` is the budget of the second meter (None: unmetered); using it up fails the
        transaction like running out of gas, with `Failure.COMPUTE_BUDGET`. All checks of `vm.validity`
        are made first; with `free` the balance must cover the value only. A `payer` pays beside what
        `gas_price` charges to the sender. A `tracer` is told of everything
        and changes nothing. Calls `begin_transaction` and
        `end_transaction` on `world`, so that the caller may still `undo_transaction`.
        Raises InvalidTransaction (a subclass, world unchanged) when it may not be in a block. Any other
        exception is a bug of the node and must not be treated as a failed transaction.
        """
        ...

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
        """Execute a call on `world`, which the caller throws away. Never charges gas.

        `gas_used` counts the intrinsic gas as a transaction's would. Raises InvalidTransaction when the
        gas does not cover the intrinsic gas or the sender cannot pay `value`.
        """
        ...
