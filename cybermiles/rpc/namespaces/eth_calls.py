"""`eth_call`, `eth_estimateGas`, `eth_createAccessList`: code run on a state that is thrown away.

The executor runs it elsewhere. EIP-7702 authorizations of a call are played as state overrides: each valid
one gives its account the delegation code, and an estimate adds what each costs. Where a system contract refuses, the
message says why in words, for wallets that show it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cybermiles.chain.predeploys import SYSTEM_CONTRACTS
from cybermiles.execution.simulate import LAST_NONCE, AccountOverride, BlockOverride, CallFailed
from cybermiles.rpc.block_references import Tag, parse_block_reference, state_height
from cybermiles.rpc.errors import failed_call
from cybermiles.rpc.jsonrpc import SERVER_ERROR, RpcError
from cybermiles.rpc.methods import Method, Param
from cybermiles.rpc.pacing import Turn
from cybermiles.rpc.quantities import encode_data
from cybermiles.rpc.schemas import overrides_parser, parse_block_override, parse_call
from cybermiles.rpc.serializers import encode_access_list
from cybermiles.rpc.system_reader import refused
from cybermiles.vm.validity import DELEGATION_PREFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.rpc.block_references import BlockReference
    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import ChainReader, Executor, StateOverrides
    from cybermiles.rpc.schemas import AuthorizationEntry, CallObject
    from cybermiles.vm.backend import CallMessage

AUTHORIZATION_GAS = 25_000
"""EIP-7702: gas of one authorization, before any refund."""


class EthCalls:
    """The part of the eth namespace that runs code."""

    def __init__(self, chain: ChainReader, executor: Executor, limits: RpcLimits) -> None:
        self._chain = chain
        self._executor = executor
        self._limits = limits

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        call = Param(parse_call)
        block: Param[BlockReference] = Param(parse_block_reference, default=Tag.LATEST)
        overrides: Param[StateOverrides] = Param(overrides_parser(self._limits), default={})
        block_overrides = Param(parse_block_override, default=BlockOverride())
        return (
            Method(
                name="eth_call",
                handler=self.call,
                params=(call, block, overrides, block_overrides),
                weight=5,
            ),
            Method(
                name="eth_estimateGas",
                handler=self.estimate_gas,
                params=(call, block, overrides),
                weight=10,
            ),
            Method(
                name="eth_createAccessList",
                handler=self.create_access_list,
                params=(call, block),
                weight=10,
            ),
        )

    async def call(
        self,
        call: CallObject,
        reference: BlockReference,
        overrides: StateOverrides,
        block_overrides: BlockOverride,
    ) -> str:
        """Return what the called code returns. Raises RpcError with code 3 where it reverts."""
        height = self._height(call, reference)
        result = await self._executor.call(
            self._message(call, height),
            height,
            await self._with_delegations(call.authorization_list or (), height, overrides),
            block_overrides,
        )
        if result.failure is not None:
            raise refused(result) if call.to in SYSTEM_CONTRACTS else failed_call(result)
        return encode_data(result.output)

    async def estimate_gas(self, call: CallObject, reference: BlockReference, overrides: StateOverrides) -> str:
        """Return a gas limit with which the call succeeds as a transaction."""
        return hex(await self.estimate(call, reference, overrides))

    async def estimate(self, call: CallObject, reference: BlockReference, overrides: StateOverrides) -> int:
        """Return the estimate as a number, for `eth_fillTransaction` too."""
        height = self._height(call, reference)
        authorizations = call.authorization_list or []
        message = self._message(call, height)
        try:
            gas = await self._executor.estimate_gas(
                message, height, await self._with_delegations(authorizations, height, overrides)
            )
        except CallFailed as failed:
            if message.to in SYSTEM_CONTRACTS:
                raise refused(failed.result, str(failed)) from failed
            raise
        return gas + AUTHORIZATION_GAS * len(authorizations)

    async def create_access_list(self, call: CallObject, reference: BlockReference) -> Json:
        """Return what the call touches, and its gas with that list."""
        height = self._height(call, reference)
        access_list, gas_used, failure = await self._executor.create_access_list(self._message(call, height), height)
        answer: dict[str, Json] = {
            "accessList": encode_access_list(access_list),
            "gasUsed": hex(gas_used),
        }
        if failure is not None:
            answer["error"] = failure
        return answer

    async def prepare(
        self, call: CallObject, reference: BlockReference, overrides: StateOverrides
    ) -> tuple[CallMessage, int, StateOverrides]:
        """Return the message, the height to run it on, and the overrides with the call's delegations, for traces."""
        height = self._height(call, reference)
        return (
            self._message(call, height),
            height,
            await self._with_delegations(call.authorization_list or (), height, overrides),
        )

    def _height(self, call: CallObject, reference: BlockReference) -> int:
        chain_id = self._chain.chain_id
        if call.chain_id is not None and call.chain_id != chain_id:
            raise RpcError(
                SERVER_ERROR,
                f"chainId does not match node's (have={call.chain_id}, want={chain_id})",
            )
        return state_height(self._chain, reference)

    def _message(self, call: CallObject, height: int) -> CallMessage:
        header = self._chain.header(height)
        gas_limit = min(self._limits.call_gas_max, self._chain.params.block_gas_limit)
        return call.to_message(gas_limit, 0 if header is None else header.base_fee)

    async def _with_delegations(
        self, entries: Sequence[AuthorizationEntry], height: int, overrides: StateOverrides
    ) -> StateOverrides:
        if not entries:
            return overrides
        most = self._limits.call_gas_max // AUTHORIZATION_GAS
        if len(entries) > most:
            what = f"{len(entries)} authorizations, at most {most} are paid by the gas of a call (rpc.call_gas_max)"
            raise RpcError(SERVER_ERROR, f"intrinsic gas too low: {what}")
        turn = Turn()
        state = self._chain.state(height)
        merged = dict(overrides)
        for entry in entries:
            await turn.share()
            authorization = entry.to_authorization()
            authority = authorization.authority()
            if authority is None or authorization.chain_id not in (0, self._chain.chain_id):
                continue
            account = state.account(authority)
            own = merged.get(authority, AccountOverride())
            nonce = own.nonce if own.nonce is not None else 0 if account is None else account.nonce
            if nonce == authorization.nonce < LAST_NONCE:
                code = DELEGATION_PREFIX + authorization.address if any(authorization.address) else b""
                merged[authority] = replace(own, code=code, nonce=nonce + 1)
        return merged
