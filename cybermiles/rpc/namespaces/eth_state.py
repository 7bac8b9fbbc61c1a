"""`eth_*`: accounts and storage at a block, and proofs of them.

At the tag `pending` a nonce counts the pool's transactions, and a balance the values that executable pooled
transactions move from or to the account; code and storage are the newest block's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cybermiles.rpc.block_references import (
    Tag,
    parse_block_reference,
    state_height,
)
from cybermiles.rpc.jsonrpc import SERVER_ERROR, RpcError
from cybermiles.rpc.methods import Method, Param
from cybermiles.rpc.pacing import give_way
from cybermiles.rpc.quantities import (
    encode_data,
    encode_word,
    parse_address,
    parse_list,
    parse_slot,
)
from cybermiles.state.trie import prove_account, prove_storage
from cybermiles.types.account import EMPTY_ACCOUNT
from cybermiles.types.primitives import EMPTY_CODE_HASH

if TYPE_CHECKING:
    from cybermiles.rpc.block_references import BlockReference
    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import ChainReader, TransactionPool
    from cybermiles.types.primitives import Address

ADDRESS = Param(parse_address)
BLOCK: Param[BlockReference] = Param(parse_block_reference, default=Tag.LATEST)
_WORD_BYTES = 32
_SLOTS_PER_STEP = 16
"""Slots proven or read before other tasks get their turn."""


class SlotKey(NamedTuple):
    """A storage slot as it was asked for."""

    slot: int
    size_bytes: int

    def encode(self) -> str:
        """Return the key as geth repeats it: a word where a word was given, else a quantity."""
        return encode_word(self.slot) if self.size_bytes == _WORD_BYTES else hex(self.slot)


class EthState:
    """The part of the eth namespace that reads state."""

    def __init__(self, chain: ChainReader, pool: TransactionPool, limits: RpcLimits) -> None:
        self._chain = chain
        self._pool = pool
        self._limits = limits

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        return (
            Method(name="eth_getBalance", handler=self.balance, params=(ADDRESS, BLOCK)),
            Method(name="eth_getTransactionCount", handler=self.nonce, params=(ADDRESS, BLOCK)),
            Method(name="eth_getCode", handler=self.code, params=(ADDRESS, BLOCK)),
            Method(
                name="eth_getStorageAt",
                handler=self.storage_at,
                params=(ADDRESS, Param(_parse_key), BLOCK),
            ),
            Method(
                name="eth_getStorageValues",
                handler=self.storage_values,
                params=(Param(self._parse_requests), BLOCK),
                weight=5,
            ),
            Method(
                name="eth_getProof",
                handler=self.proof,
                params=(ADDRESS, Param(self._parse_keys), BLOCK),
                weight=5,
            ),
        )

    def balance(self, address: Address, reference: BlockReference) -> str:
        """Return an account's wei."""
        account = self._chain.state(state_height(self._chain, reference)).account(address)
        balance = 0 if account is None else account.balance
        if reference is Tag.PENDING:
            balance = max(balance + self._pending_inflow(address), 0)
        return hex(balance)

    def nonce(self, address: Address, reference: BlockReference) -> str:
        """Return how many transactions an account has sent."""
        account = self._chain.state(state_height(self._chain, reference)).account(address)
        nonce = 0 if account is None else account.nonce
        if reference is Tag.PENDING:
            nonce = max(nonce, self._pool.pending_nonce(address) or 0)
        return hex(nonce)

    def code(self, address: Address, reference: BlockReference) -> str:
        """Return an account's code."""
        state = self._chain.state(state_height(self._chain, reference))
        account = state.account(address)
        if account is None or account.code_hash == EMPTY_CODE_HASH:
            return "0x"
        return encode_data(state.code(account.code_hash))

    def storage_at(self, address: Address, key: SlotKey, reference: BlockReference) -> str:
        """Return one word of an account's storage."""
        state = self._chain.state(state_height(self._chain, reference))
        return encode_word(state.storage(address, key.slot))

    async def storage_values(self, requests: dict[Address, tuple[SlotKey, ...]], reference: BlockReference) -> Json:
        """Return many words of several accounts."""
        state = self._chain.state(state_height(self._chain, reference))
        answer: dict[str, Json] = {}
        for address, keys in requests.items():
            words: list[Json] = []
            for count, key in enumerate(keys):
                words.append(encode_word(state.storage(address, key.slot)))
                if count % _SLOTS_PER_STEP == 0:
                    await give_way()
            answer[encode_data(address)] = words
        return answer

    async def proof(self, address: Address, keys: tuple[SlotKey, ...], reference: BlockReference) -> Json:
        """Return an account and slots with the trie nodes that prove them (EIP-1186)."""
        height = state_height(self._chain, reference)
        header = self._chain.header(height)
        if header is None:
            raise RpcError(SERVER_ERROR, "header not found")
        nodes = self._chain.trie_nodes(height)
        state = self._chain.state(height)
        account = state.account(address) or EMPTY_ACCOUNT
        storage: list[Json] = []
        for count, key in enumerate(keys):
            proof = prove_storage(nodes, address, account.storage_root, key.slot)
            storage.append(
                {
                    "key": key.encode(),
                    "value": hex(state.storage(address, key.slot)),
                    "proof": [encode_data(node) for node in proof],
                }
            )
            if count % _SLOTS_PER_STEP == 0:
                await give_way()
        return {
            "address": encode_data(address),
            "accountProof": [encode_data(node) for node in prove_account(nodes, header.state_root, address)],
            "balance": hex(account.balance),
            "codeHash": encode_data(account.code_hash),
            "nonce": hex(account.nonce),
            "storageHash": encode_data(account.storage_root),
            "storageProof": storage,
        }

    def _pending_inflow(self, address: Address) -> int:
        flow = 0
        for transaction in self._pool.pending():
            if transaction.to == address:
                flow += transaction.value
            if transaction.value and transaction.sender == address:
                flow -= transaction.value
        return flow

    def _parse_keys(self, value: Json) -> tuple[SlotKey, ...]:
        limit = self._limits.proof_max_slots
        return parse_list(value, _parse_key, limit=limit, key="rpc.proof_max_slots")

    def _parse_requests(self, value: Json) -> dict[Address, tuple[SlotKey, ...]]:
        if not isinstance(value, dict):
            raise ValueError("an object of accounts is expected")  # noqa: TRY004
        left = self._limits.storage_values_max_slots
        requests: dict[Address, tuple[SlotKey, ...]] = {}
        for address, slots in value.items():
            keys = parse_list(slots, _parse_key, limit=left, key="rpc.storage_values_max_slots")
            left -= len(keys)
            requests[parse_address(address)] = keys
        return requests


def _parse_key(value: Json) -> SlotKey:
    return SlotKey(*parse_slot(value))
