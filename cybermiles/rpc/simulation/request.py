"""What `eth_simulateV1` is asked, checked and turned into plans of blocks.

Heights that are left out become empty blocks, so that every ancestor of a block has a hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from cybermiles.chain.predeploys import SYSTEM_CONTRACTS
from cybermiles.execution.imagined import BlockPlan, ImaginedCall
from cybermiles.execution.simulate import BlockOverride
from cybermiles.rpc.jsonrpc import RpcError
from cybermiles.rpc.quantities import parse_bool
from cybermiles.rpc.schemas import overrides_parser, parse_block_override, parse_call
from cybermiles.types.primitives import ZERO_ADDRESS, Address
from cybermiles.types.transaction import ACCESS_LIST, DYNAMIC_FEE, LEGACY, SET_CODE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import StateOverrides
    from cybermiles.rpc.schemas import CallObject
    from cybermiles.types.header import Header

BLOCK_NUMBER_ORDER = -38020
BLOCK_TIME_ORDER = -38021
LIMIT = -38026
"""Three of the codes that the execution API gives to this method."""


class AskedBlock(NamedTuple):
    """One block as it was asked for."""

    block: BlockOverride
    accounts: StateOverrides
    calls: tuple[ImaginedCall, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationRequest:
    """Everything that was asked."""

    blocks: tuple[AskedBlock, ...]
    validate: bool = False
    transfers: bool = False
    full_transactions: bool = False

    def plans(self, base: Header, max_blocks: int) -> tuple[BlockPlan, ...]:
        """Return the blocks to execute on top of `base`, gaps filled. Raises RpcError where they are out of order."""
        plans: list[BlockPlan] = []
        height, timestamp = base.height, base.timestamp
        for asked in self.blocks:
            wanted = height + 1 if asked.block.height is None else asked.block.height
            if wanted <= height:
                raise RpcError(BLOCK_NUMBER_ORDER, f"block numbers must be in order: {wanted} <= {height}")
            if wanted - base.height > max_blocks:
                raise RpcError(
                    LIMIT,
                    f"too many blocks: {wanted - base.height} over the limit of {max_blocks} (rpc.simulate_max_blocks)",
                )
            for _ in range(height + 1, wanted):
                timestamp += 1
                plans.append(BlockPlan(timestamp=timestamp))
            given = timestamp + 1 if asked.block.timestamp is None else asked.block.timestamp
            if given <= timestamp:
                raise RpcError(BLOCK_TIME_ORDER, f"block timestamps must be in order: {given} <= {timestamp}")
            height, timestamp = wanted, given
            plans.append(BlockPlan(timestamp=given, block=asked.block, accounts=asked.accounts, calls=asked.calls))
        return tuple(plans)


def simulation_parser(limits: RpcLimits, chain_id: int) -> Callable[[Json], SimulationRequest]:
    """Return a parser of requests within `limits`."""

    def parse(value: Json) -> SimulationRequest:
        if not isinstance(value, dict):
            raise ValueError("an object is expected")  # noqa: TRY004  (one error for every parser)
        entries = value.get("blockStateCalls")
        if not isinstance(entries, list) or not entries:
            raise ValueError("blockStateCalls: empty input")
        if len(entries) > limits.simulate_max_blocks:
            raise RpcError(
                LIMIT,
                f"too many blocks: {len(entries)} over the limit of {limits.simulate_max_blocks} "
                "(rpc.simulate_max_blocks)",
            )
        blocks = tuple(
            _block(f"blockStateCalls.{place}", entry, limits, chain_id) for place, entry in enumerate(entries)
        )
        calls = sum(len(block.calls) for block in blocks)
        if calls > limits.simulate_max_calls:
            raise RpcError(
                LIMIT, f"too many calls: {calls} over the limit of {limits.simulate_max_calls} (rpc.simulate_max_calls)"
            )
        return SimulationRequest(
            blocks=blocks,
            validate=_flag(value, "validation"),
            transfers=_flag(value, "traceTransfers"),
            full_transactions=_flag(value, "returnFullTransactions"),
        )

    return parse


def _flag(value: dict[str, Json], name: str) -> bool:
    given = value.get(name)
    return False if given is None else parse_bool(given)


def _block(where: str, value: Json, limits: RpcLimits, chain_id: int) -> AskedBlock:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: an object is expected")  # noqa: TRY004
    block, accounts, calls = value.get("blockOverrides"), value.get("stateOverrides"), value.get("calls")
    if isinstance(block, dict) and block.get("withdrawals"):
        raise ValueError(f"{where}.blockOverrides: this chain has no withdrawals")
    if calls is not None and not isinstance(calls, list):
        raise ValueError(f"{where}.calls: an array is expected")
    overrides = {} if accounts is None else overrides_parser(limits)(accounts)
    if any(address in overrides for address in SYSTEM_CONTRACTS):
        raise ValueError(
            f"{where}.stateOverrides: system contracts cannot be replaced: every block's end relies on them"
        )
    return AskedBlock(
        block=BlockOverride() if block is None else parse_block_override(block),
        accounts=overrides,
        calls=tuple(_calls(where, calls or [], chain_id)),
    )


def _calls(where: str, calls: list[Json], chain_id: int) -> Iterator[ImaginedCall]:
    for place, entry in enumerate(calls):
        try:
            call = parse_call(entry)
            if call.chain_id is not None and call.chain_id != chain_id:
                raise ValueError(f"chainId does not match node's (have={call.chain_id}, want={chain_id})")
            yield _imagined(call)
        except ValueError as error:
            raise ValueError(f"{where}.calls.{place}: {error}") from None


def _imagined(call: CallObject) -> ImaginedCall:
    if call.sender in SYSTEM_CONTRACTS:
        raise ValueError("system contracts send no transactions")
    kind = _type(call)
    cap, tip = call.max_fee_per_gas, call.max_priority_fee_per_gas
    if call.gas_price is not None:
        cap = tip = call.gas_price
    return ImaginedCall(
        sender=ZERO_ADDRESS if call.sender is None else Address(call.sender),
        to=None if call.to is None else Address(call.to),
        type=kind,
        gas=call.gas,
        nonce=call.nonce,
        fee_cap=(tip or 0) if cap is None else cap,
        tip=tip or 0,
        value=call.value or 0,
        data=call.calldata,
        access_list=call.domain_access_list,
        authorizations=tuple(entry.to_authorization() for entry in call.authorization_list or ()),
    )


def _type(call: CallObject) -> int:
    if call.authorization_list:
        return SET_CODE
    if call.gas_price is None and call.type not in (LEGACY, ACCESS_LIST):
        return DYNAMIC_FEE
    return ACCESS_LIST if call.access_list is not None or call.type == ACCESS_LIST else LEGACY
