"""`eth_sendRawTransaction` and `eth_fillTransaction`: into the pool, and what to sign first.

The server holds no keys, so there is nothing else to send with. Neighbouring submissions of a batch go to
the pool together: their senders are recovered in one go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.errors import InvalidTransaction
from cybermiles.rpc.block_references import Tag
from cybermiles.rpc.jsonrpc import SERVER_ERROR, RpcError
from cybermiles.rpc.methods import Method, Param
from cybermiles.rpc.quantities import encode_data, parse_data
from cybermiles.rpc.schemas import parse_call
from cybermiles.rpc.serializers import transaction_fields
from cybermiles.types import rlp
from cybermiles.types.primitives import ZERO_ADDRESS, Address
from cybermiles.types.transaction import (
    ACCESS_LIST,
    DYNAMIC_FEE,
    LEGACY,
    SET_CODE,
    Transaction,
    unsigned_fields,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.errors import CybermilesError
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.namespaces.eth_calls import EthCalls
    from cybermiles.rpc.ports import ChainReader, TransactionPool
    from cybermiles.rpc.schemas import CallObject

_UNSIGNED = b"\x80\x80\x80"
"""RLP of the three empty signature fields that geth's unsigned encoding ends with."""


class EthTransactions:
    """The part of the eth namespace that takes transactions."""

    def __init__(self, chain: ChainReader, pool: TransactionPool, calls: EthCalls) -> None:
        self._chain = chain
        self._pool = pool
        self._calls = calls

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        return (
            Method(
                name="eth_sendRawTransaction",
                handler=self.send_raw,
                params=(Param(parse_data),),
                batch_handler=self.send_raw_batch,
            ),
            Method(
                name="eth_fillTransaction",
                handler=self.fill,
                params=(Param(parse_call),),
                weight=10,
            ),
        )

    async def send_raw(self, raw: bytes) -> str:
        """Put a signed transaction into the pool; return its hash."""
        return encode_data(await self._pool.submit(raw))

    async def send_raw_batch(self, raws: Sequence[bytes]) -> list[Json | CybermilesError]:
        """Put many signed transactions into the pool; return their hashes or errors."""
        return [
            outcome if isinstance(outcome, InvalidTransaction) else encode_data(outcome)
            for outcome in await self._pool.submit_batch(raws)
        ]

    async def fill(self, call: CallObject) -> Json:
        """Return the transaction with everything that is missing, ready to be signed.

        The only advice that sees gas and price together: price 0 where the gas limit fits the free lane, the
        paid lane's price above it.
        """
        draft = await self.draft(call)
        fields = unsigned_fields(draft)
        prefix = bytes((draft.type,)) if draft.type else b""
        raw = prefix + rlp.encode_list([*fields, _UNSIGNED])
        filled = transaction_fields(draft, draft.max_fee_per_gas)
        return {"raw": encode_data(raw), "tx": {**filled, "v": "0x0", "r": "0x0", "s": "0x0"}}

    async def draft(self, call: CallObject) -> Transaction:
        """Return the transaction with everything that is missing but a signature."""
        if call.to is None and not call.calldata:
            raise RpcError(SERVER_ERROR, "contract creation without any data provided")
        gas = call.gas
        if gas is None:
            gas = await self._calls.estimate(call, Tag.PENDING, {})
        return self._draft(call, gas)

    def _draft(self, call: CallObject, gas: int) -> Transaction:
        kind = _kind(call)
        cap, tip = self._fees(call, gas)
        return Transaction(
            type=kind,
            chain_id=self._chain.chain_id,
            nonce=self._nonce(call) if call.nonce is None else call.nonce,
            max_priority_fee_per_gas=tip,
            max_fee_per_gas=cap,
            gas_limit=gas,
            to=None if call.to is None else Address(call.to),
            value=call.value or 0,
            data=call.calldata,
            y_parity=0,
            r=0,
            s=0,
            raw=b"",
            access_list=call.domain_access_list,
            authorizations=tuple(entry.to_authorization() for entry in call.authorization_list or ()),
        )

    def _fees(self, call: CallObject, gas: int) -> tuple[int, int]:
        """Return (fee cap, tip)."""
        if call.gas_price is not None:
            return call.gas_price, call.gas_price
        params = self._chain.params
        advice = 0 if gas <= params.free_gas_limit else params.min_gas_price
        cap, tip = call.max_fee_per_gas, call.max_priority_fee_per_gas
        if tip is None:
            tip = advice if cap is None else min(advice, cap)
        return max(advice, tip) if cap is None else cap, tip

    def _nonce(self, call: CallObject) -> int:
        sender = ZERO_ADDRESS if call.sender is None else Address(call.sender)
        account = self._chain.state(self._chain.head_height()).account(sender)
        pooled = self._pool.pending_nonce(sender) or 0
        return max(pooled, 0 if account is None else account.nonce)


def _kind(call: CallObject) -> int:
    """Return the transaction type that the given fields ask for."""
    if call.authorization_list:
        return SET_CODE
    if call.gas_price is not None or call.type in (LEGACY, ACCESS_LIST):
        return ACCESS_LIST if call.access_list is not None or call.type == ACCESS_LIST else LEGACY
    return DYNAMIC_FEE
