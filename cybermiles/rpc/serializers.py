"""From domain values to the JSON of the execution API.

`Serializer` holds what differs between networks: whether receipts name the lane, whether transactions and
logs repeat their block's time, and which fields a header has. All else is the same everywhere. A
dynamic-fee transaction that is in a block shows as `gasPrice` what was charged, 0 in the free lane; a legacy
one shows the signed price, which its signature covers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from cybermiles.rpc.ports import PlacedOutcome
from cybermiles.rpc.quantities import encode_data, encode_word
from cybermiles.types.header import EMPTY_REQUESTS_HASH, ZERO_NONCE
from cybermiles.types.primitives import EMPTY_OMMERS_HASH, EMPTY_TRIE_ROOT, ZERO_HASH
from cybermiles.types.transaction import ACCESS_LIST, DYNAMIC_FEE, LEGACY, SET_CODE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from cybermiles.execution.outcome import TransactionOutcome
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import SyncProgress
    from cybermiles.types.header import Header
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.receipt import Log
    from cybermiles.types.transaction import AccessList, Transaction


class BlockIdentity(Protocol):
    """Which block something is in."""

    @property
    def height(self) -> int:
        """Position in the chain."""
        ...

    @property
    def hash(self) -> Hash32:
        """The header's."""
        ...

    @property
    def timestamp(self) -> int:
        """Seconds."""
        ...


class Contents(NamedTuple):
    """A block as it is shown; block 0 and the next block's template have no wire form."""

    header: Header
    transactions: Sequence[Transaction]


class Place(NamedTuple):
    """Where in the chain a transaction is."""

    header: Header
    position: int
    """Index among the block's transactions."""


def header_fields(header: Header) -> dict[str, Json]:
    """Return a CyberMiles header: Prague's fields, most of them fixed."""
    return {
        "number": hex(header.height),
        "hash": encode_data(header.hash),
        "parentHash": encode_data(header.parent_hash),
        "nonce": encode_data(ZERO_NONCE),
        "mixHash": encode_data(header.prev_randao),
        "sha3Uncles": encode_data(EMPTY_OMMERS_HASH),
        "logsBloom": encode_data(header.logs_bloom),
        "stateRoot": encode_data(header.state_root),
        "miner": encode_data(header.coinbase),
        "difficulty": "0x0",
        "extraData": encode_data(header.extra_data),
        "gasLimit": hex(header.gas_limit),
        "gasUsed": hex(header.gas_used),
        "timestamp": hex(header.timestamp),
        "transactionsRoot": encode_data(header.transactions_root),
        "receiptsRoot": encode_data(header.receipts_root),
        "baseFeePerGas": "0x0",
        "withdrawalsRoot": encode_data(EMPTY_TRIE_ROOT),
        "blobGasUsed": "0x0",
        "excessBlobGas": "0x0",
        "parentBeaconBlockRoot": encode_data(ZERO_HASH),
        "requestsHash": encode_data(EMPTY_REQUESTS_HASH),
    }


def progress_fields(progress: SyncProgress) -> dict[str, Json]:
    """Return how far a catching-up node is."""
    return {
        "startingBlock": hex(progress.starting),
        "currentBlock": hex(progress.current),
        "highestBlock": hex(progress.highest),
    }


def encode_access_list(access_list: AccessList) -> list[Json]:
    """Return an access list."""
    return [
        {"address": encode_data(address), "storageKeys": [encode_word(slot) for slot in slots]}
        for address, slots in access_list
    ]


def transaction_fields(transaction: Transaction, gas_price: int) -> dict[str, Json]:
    """Return what a transaction says, without its signature, sender and place."""
    kind = transaction.type
    fields: dict[str, Json] = {
        "type": hex(kind),
        "nonce": hex(transaction.nonce),
        "gas": hex(transaction.gas_limit),
        "gasPrice": hex(gas_price),
        "to": None if transaction.to is None else encode_data(transaction.to),
        "value": hex(transaction.value),
        "input": encode_data(transaction.data),
    }
    if transaction.chain_id is not None:
        fields["chainId"] = hex(transaction.chain_id)
    if kind >= ACCESS_LIST:
        fields["accessList"] = encode_access_list(transaction.access_list)
    if kind >= DYNAMIC_FEE:
        fields["maxFeePerGas"] = hex(transaction.max_fee_per_gas)
        fields["maxPriorityFeePerGas"] = hex(transaction.max_priority_fee_per_gas)
    if kind == SET_CODE:
        fields["authorizationList"] = [
            {
                "chainId": hex(entry.chain_id),
                "address": encode_data(entry.address),
                "nonce": hex(entry.nonce),
                "yParity": hex(entry.y_parity),
                "r": hex(entry.r),
                "s": hex(entry.s),
            }
            for entry in transaction.authorizations
        ]
    if transaction.blob_versioned_hashes:
        fields["maxFeePerBlobGas"] = hex(transaction.max_fee_per_blob_gas)
        fields["blobVersionedHashes"] = [encode_data(entry) for entry in transaction.blob_versioned_hashes]
    return fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Serializer:
    """Renders blocks, transactions, receipts and logs."""

    receipt_lane: bool = True
    """Receipts carry `cmtLane`: "free", "paid" or "sponsored"."""
    block_timestamps: bool = True
    """Transactions and logs carry `blockTimestamp`."""
    header: Callable[[Header], dict[str, Json]] = header_fields
    """Renders a header."""

    def block(self, header: Header, transactions: list[Json], *, size: int) -> dict[str, Json]:
        """Return a block; its transactions are given as they are to be shown."""
        return {
            "uncles": [],
            "withdrawals": [],
            **self.header(header),
            "size": hex(size),
            "transactions": transactions,
        }

    def hashes(self, contents: Contents) -> Iterator[Json]:
        """Yield the transactions of a block by their hashes."""
        return (encode_data(transaction.hash) for transaction in contents.transactions)

    def transactions(self, contents: Contents, outcomes: Sequence[TransactionOutcome]) -> Iterator[Json]:
        """Yield the transactions of a block in full."""
        pairs = zip(contents.transactions, outcomes, strict=True)
        return (
            self.included(transaction, outcome, Place(contents.header, position))
            for position, (transaction, outcome) in enumerate(pairs)
        )

    def pending_transactions(self, contents: Contents) -> Iterator[Json]:
        """Yield the transactions of the next block's template in full."""
        return (
            self.pending(transaction, Place(contents.header, position))
            for position, transaction in enumerate(contents.transactions)
        )

    def included(self, transaction: Transaction, outcome: TransactionOutcome, place: Place) -> dict[str, Json]:
        """Return a transaction of a block."""
        charged = transaction.type >= DYNAMIC_FEE
        price = outcome.effective_gas_price if charged else transaction.max_fee_per_gas
        return {**self._signed(transaction, price), **self._place(place)}

    def pending(self, transaction: Transaction, place: Place) -> dict[str, Json]:
        """Return a transaction of the next block's template."""
        return {**self.pooled(transaction), **self._place(place)}

    def pooled(self, transaction: Transaction) -> dict[str, Json]:
        """Return a transaction that is in no block."""
        return {
            **self._signed(transaction, transaction.max_fee_per_gas),
            "blockHash": None,
            "blockNumber": None,
            "transactionIndex": None,
        }

    def receipts(self, contents: Contents, outcomes: Sequence[TransactionOutcome]) -> Iterator[Json]:
        """Yield every receipt of a block."""
        first_log = 0
        for position, outcome in enumerate(outcomes):
            place = Place(contents.header, position)
            yield self.receipt(contents.transactions[position], PlacedOutcome(outcome, first_log), place)
            first_log += len(outcome.receipt.logs)

    def logs(self, header: BlockIdentity, tx_hash: bytes, tx_index: int, logs: Iterable[tuple[int, Log]]) -> list[Json]:
        """Return logs of one transaction, given with their positions in the block."""
        shared: dict[str, Json] = {
            "blockNumber": hex(header.height),
            "transactionHash": encode_data(tx_hash),
            "transactionIndex": hex(tx_index),
            "blockHash": encode_data(header.hash),
            **self._timestamp(header),
            "removed": False,
        }
        return [
            {
                "address": encode_data(log.address),
                "topics": [encode_data(topic) for topic in log.topics],
                "data": encode_data(log.data),
                "logIndex": hex(position),
                **shared,
            }
            for position, log in logs
        ]

    def receipt(self, transaction: Transaction, placed: PlacedOutcome, place: Place) -> dict[str, Json]:
        """Return the receipt of one transaction of a block."""
        (header, position), (outcome, first_log) = place, placed
        receipt, contract = outcome.receipt, outcome.contract_address
        rendered: dict[str, Json] = {
            "type": hex(transaction.type),
            "status": "0x1" if receipt.succeeded else "0x0",
            "transactionHash": encode_data(transaction.hash),
            "transactionIndex": hex(position),
            "blockHash": encode_data(header.hash),
            "blockNumber": hex(header.height),
            "from": encode_data(transaction.sender),
            "to": None if transaction.to is None else encode_data(transaction.to),
            "contractAddress": None if contract is None else encode_data(contract),
            "cumulativeGasUsed": hex(receipt.cumulative_gas_used),
            "gasUsed": hex(outcome.gas_used),
            "effectiveGasPrice": hex(outcome.effective_gas_price),
            "logs": self.logs(header, transaction.hash, position, enumerate(receipt.logs, first_log)),
            "logsBloom": encode_data(receipt.bloom),
        }
        if self.receipt_lane:
            rendered["cmtLane"] = outcome.lane.name.lower()
        return rendered

    def _signed(self, transaction: Transaction, gas_price: int) -> dict[str, Json]:
        fields = {
            "hash": encode_data(transaction.hash),
            "from": encode_data(transaction.sender),
            **transaction_fields(transaction, gas_price),
            "v": hex(_v(transaction)),
            "r": hex(transaction.r),
            "s": hex(transaction.s),
        }
        if transaction.type != LEGACY:
            fields["yParity"] = hex(transaction.y_parity)
        return fields

    def _place(self, place: Place) -> dict[str, Json]:
        header = place.header
        return {
            "blockHash": encode_data(header.hash),
            "blockNumber": hex(header.height),
            **self._timestamp(header),
            "transactionIndex": hex(place.position),
        }

    def _timestamp(self, header: BlockIdentity) -> dict[str, Json]:
        return {"blockTimestamp": hex(header.timestamp)} if self.block_timestamps else {}


def _v(transaction: Transaction) -> int:
    if transaction.type != LEGACY:
        return transaction.y_parity
    if transaction.chain_id is None:
        return 27 + transaction.y_parity
    return 35 + 2 * transaction.chain_id + transaction.y_parity
