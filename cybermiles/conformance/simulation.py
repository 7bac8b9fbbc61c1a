"""`eth_simulateV1` on a foreign chain: the request, checked; and the job that executes and renders the blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cybermiles import errors
from cybermiles.conformance.blocks import Withdrawal
from cybermiles.conformance.imagined import Imagination, ImaginedPlan
from cybermiles.errors import InvalidTransaction
from cybermiles.execution.imagined import ImaginedCall
from cybermiles.rpc.errors import failed_call
from cybermiles.rpc.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, RpcError
from cybermiles.rpc.quantities import (
    encode_data,
    parse_address,
    parse_bool,
    parse_hash,
    parse_quantity,
    parse_uint64,
)
from cybermiles.rpc.schemas import overrides_parser, parse_call
from cybermiles.rpc.serializers import Contents
from cybermiles.types.primitives import ZERO_ADDRESS, ZERO_HASH, Address
from cybermiles.types.transaction import DYNAMIC_FEE, LEGACY
from cybermiles.vm.backend import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cybermiles.conformance.imagined import ImaginedBlock
    from cybermiles.conformance.serializer import EthereumSerializer
    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.jobs import JobSource
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.types.header import Header
    from cybermiles.vm.backend import ExecutionResult

MAX_BLOCKS = 256
SECONDS_BETWEEN_BLOCKS = 1
_TOO_MANY, _NUMBER_ORDER, _TIME_ORDER, _VM_ERROR = -38026, -38020, -38021, -32015
_REVERTED_THEN, _REVERTED_NOW = -32000, 3
"""The code of a reverted call: geth's first, and the one it has now."""
_CODES: tuple[tuple[type[InvalidTransaction], int], ...] = (
    (errors.NonceTooLow, -38010),
    (errors.NonceTooHigh, -38011),
    (errors.TipAboveFeeCap, INVALID_PARAMS),
    (errors.FeeCapTooLow, INVALID_PARAMS),
    (errors.IntrinsicGasTooLow, -38013),
    (errors.InsufficientFunds, -38014),
    (errors.GasLimitExceeded, -38015),
    (errors.InitcodeTooLarge, -38025),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationRequest:
    """What was asked; heights and times of 0 are filled in where it runs."""

    plans: tuple[ImaginedPlan, ...]
    validate: bool
    transfers: bool
    full_transactions: bool


class SimulationParser:
    """Parses requests within limits."""

    def __init__(self, limits: RpcLimits) -> None:
        self._overrides = overrides_parser(limits)

    def parse(self, value: Json) -> SimulationRequest:
        """Return a request. Raises ValueError that names the wrong part, RpcError at a limit."""
        if not isinstance(value, dict):
            raise ValueError("an object is expected")  # noqa: TRY004  (one error for every parser)
        blocks = value.get("blockStateCalls")
        if not isinstance(blocks, list) or not blocks:
            raise ValueError("empty input")
        if len(blocks) > MAX_BLOCKS:
            raise RpcError(_TOO_MANY, f"too many blocks: {len(blocks)}, at most {MAX_BLOCKS}")
        return SimulationRequest(
            plans=tuple(self._plan(block) for block in blocks),
            validate=_flag(value, "validation"),
            transfers=_flag(value, "traceTransfers"),
            full_transactions=_flag(value, "returnFullTransactions"),
        )

    def _plan(self, block: Json) -> ImaginedPlan:
        if not isinstance(block, dict):
            raise ValueError("a block is an object")  # noqa: TRY004  (one error for every parser)
        given, accounts, calls = block.get("blockOverrides"), block.get("stateOverrides"), block.get("calls")
        plan = _overridden(given if isinstance(given, dict) else {})
        return replace(
            plan,
            accounts={} if accounts is None else self._overrides(accounts),
            calls=tuple(map(_call, calls)) if isinstance(calls, list) else (),
        )


def _flag(value: dict[str, Json], name: str) -> bool:
    given = value.get(name)
    return False if given is None else parse_bool(given)


def _overridden(given: dict[str, Json]) -> ImaginedPlan:
    said = {name: value for name, value in given.items() if value is not None}
    withdrawals = said.get("withdrawals") or []
    return ImaginedPlan(
        height=parse_uint64(said["number"]) if "number" in said else None,
        timestamp=parse_uint64(said["time"]) if "time" in said else None,
        gas_limit=parse_uint64(said["gasLimit"]) if "gasLimit" in said else None,
        coinbase=parse_address(said["feeRecipient"]) if "feeRecipient" in said else None,
        prev_randao=parse_hash(said["prevRandao"]) if "prevRandao" in said else None,
        base_fee=parse_quantity(said["baseFeePerGas"]) if "baseFeePerGas" in said else None,
        beacon_root=parse_hash(said["beaconRoot"]) if "beaconRoot" in said else ZERO_HASH,
        withdrawals=tuple(map(_withdrawal, withdrawals)) if isinstance(withdrawals, list) else (),
    )


def _withdrawal(value: Json) -> Withdrawal:
    if not isinstance(value, dict):
        raise ValueError("a withdrawal is an object")  # noqa: TRY004  (one error for every parser)
    return Withdrawal(
        parse_uint64(value.get("index")),
        parse_uint64(value.get("validatorIndex")),
        parse_address(value.get("address")),
        parse_uint64(value.get("amount")),
    )


def _call(value: Json) -> ImaginedCall:
    call = parse_call(value)
    price = call.gas_price
    return ImaginedCall(
        sender=ZERO_ADDRESS if call.sender is None else Address(call.sender),
        to=None if call.to is None else Address(call.to),
        type=DYNAMIC_FEE if price is None else LEGACY,
        gas=call.gas,
        nonce=call.nonce,
        fee_cap=(call.max_fee_per_gas or 0) if price is None else price,
        tip=(call.max_priority_fee_per_gas or 0) if price is None else price,
        value=call.value or 0,
        data=call.calldata,
        access_list=call.domain_access_list if price is None else (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateForeignBlocks:
    """A `rpc.jobs.Job`: blocks on the state after `height`."""

    request: SimulationRequest
    height: int
    serializer: EthereumSerializer
    gas: int

    def run(self, source: JobSource) -> list[Json]:  # noqa: ARG002  (the serializer has the chain)
        """Return the blocks. Raises RpcError with the API's codes."""
        request, chain = self.request, self.serializer.chain
        base = chain.foreign(self.height).header
        imagination = Imagination(chain, base, gas=self.gas, validate=request.validate, transfers=request.transfers)
        rendered: list[Json] = []
        for plan, height, timestamp in _in_order(request.plans, base):
            try:
                block = imagination.add(plan, height, timestamp)
            except InvalidTransaction as error:
                code = next((code for kind, code in _CODES if isinstance(error, kind)), INTERNAL_ERROR)
                raise RpcError(code, str(error)) from None
            rendered.append(self._block(block))
        return rendered

    def _block(self, imagined: ImaginedBlock) -> Json:
        block, serializer = imagined.block, self.serializer
        contents = Contents(block.header, block.transactions)
        transactions: list[Json] = list(serializer.hashes(contents))
        if self.request.full_transactions:
            shown = serializer.transactions(contents, imagined.outcomes)
            transactions = [{**entry, "v": "0x0"} for entry in shown if isinstance(entry, dict)]
        rendered = serializer.foreign_block(block, transactions, size=len(block.encode()))
        return {**rendered, "calls": list(self._calls(imagined))}

    def _calls(self, imagined: ImaginedBlock) -> Iterator[Json]:
        header = imagined.block.header
        first = 0
        for index, (result, logs) in enumerate(imagined.calls):
            tx_hash = imagined.block.transactions[index].hash
            shown: dict[str, Json] = {
                "returnData": encode_data(result.output),
                "logs": self.serializer.logs(header, tx_hash, index, enumerate(logs, first)),
                "gasUsed": hex(result.gas_used),
                "status": "0x1" if result.failure is None else "0x0",
            }
            if self.serializer.block_timestamps:
                shown["maxUsedGas"] = hex(result.gas_used + result.gas_refund)
            if result.failure is not None:
                shown["error"] = self._error(result)
            first += len(logs)
            yield shown

    def _error(self, result: ExecutionResult) -> Json:
        error = failed_call(result)
        if result.failure is not Failure.REVERT:
            return {"code": _VM_ERROR, "message": error.message}
        code = _REVERTED_NOW if self.serializer.block_timestamps else _REVERTED_THEN
        return {"code": code, "message": error.message, "data": error.data}


def _in_order(plans: tuple[ImaginedPlan, ...], base: Header) -> list[tuple[ImaginedPlan, int, int]]:
    """Return the blocks with height and time, gaps filled. Raises RpcError where one is out of order."""
    ordered: list[tuple[ImaginedPlan, int, int]] = []
    height, timestamp = base.height, base.timestamp
    for plan in plans:
        wanted = height + 1 if plan.height is None else plan.height
        if wanted <= height:
            raise RpcError(_NUMBER_ORDER, f"block numbers must be in order: {wanted} <= {height}")
        if wanted - base.height > MAX_BLOCKS:
            raise RpcError(_TOO_MANY, f"too many blocks: {wanted - base.height}, at most {MAX_BLOCKS}")
        for skipped in range(height + 1, wanted):
            timestamp += SECONDS_BETWEEN_BLOCKS
            ordered.append((ImaginedPlan(), skipped, timestamp))
        given = timestamp + SECONDS_BETWEEN_BLOCKS if plan.timestamp is None else plan.timestamp
        if given <= timestamp:
            raise RpcError(_TIME_ORDER, f"block timestamps must be in order: {given} <= {timestamp}")
        height, timestamp = wanted, given
        ordered.append((plan, wanted, given))
    return ordered
