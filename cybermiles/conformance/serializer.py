"""How a foreign chain's blocks and receipts differ from CyberMiles' in JSON: every field of the header they have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.conformance.gas_market import price_of_blobs
from cybermiles.conformance.receipts import RootReceipt
from cybermiles.rpc.quantities import encode_data
from cybermiles.rpc.serializers import Serializer
from cybermiles.types.transaction import BLOB
from cybermiles.vm.validity import GAS_PER_BLOB

if TYPE_CHECKING:
    from cybermiles.conformance.blocks import ForeignBlock
    from cybermiles.conformance.chain import ForeignChain
    from cybermiles.conformance.header import EthereumHeader
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import PlacedOutcome
    from cybermiles.rpc.serializers import Place
    from cybermiles.types.header import Header
    from cybermiles.types.transaction import Transaction


def ethereum_header_fields(header: EthereumHeader) -> dict[str, Json]:
    """Return a header as geth shows it: fields of later forks only where it has them."""
    fields: dict[str, Json] = {
        "number": hex(header.height),
        "hash": encode_data(header.hash),
        "parentHash": encode_data(header.parent_hash),
        "nonce": encode_data(header.nonce),
        "mixHash": encode_data(header.prev_randao),
        "sha3Uncles": encode_data(header.ommers_hash),
        "logsBloom": encode_data(header.logs_bloom),
        "stateRoot": encode_data(header.state_root),
        "miner": encode_data(header.coinbase),
        "difficulty": hex(header.difficulty),
        "extraData": encode_data(header.extra_data),
        "gasLimit": hex(header.gas_limit),
        "gasUsed": hex(header.gas_used),
        "timestamp": hex(header.timestamp),
        "transactionsRoot": encode_data(header.transactions_root),
        "receiptsRoot": encode_data(header.receipts_root),
    }
    later: dict[str, int | bytes | None] = {
        "baseFeePerGas": header.base_fee_per_gas,
        "withdrawalsRoot": header.withdrawals_root,
        "blobGasUsed": header.blob_gas_used,
        "excessBlobGas": header.excess_blob_gas,
        "parentBeaconBlockRoot": header.parent_beacon_block_root,
        "requestsHash": header.requests_hash,
    }
    for name, value in later.items():
        if value is not None:
            fields[name] = hex(value) if isinstance(value, int) else encode_data(value)
    return fields


@dataclass(frozen=True, slots=True, kw_only=True)
class EthereumSerializer(Serializer):
    """Renders one foreign chain."""

    chain: ForeignChain

    def block(self, header: Header, transactions: list[Json], *, size: int) -> dict[str, Json]:
        """Return a block of the chain."""
        return self.foreign_block(self.chain.foreign(header.height), transactions, size=size)

    def foreign_block(self, block: ForeignBlock, transactions: list[Json], *, size: int) -> dict[str, Json]:
        """Return a block with its ommers and withdrawals."""
        rendered: dict[str, Json] = {
            **ethereum_header_fields(block.header),
            "size": hex(size),
            "uncles": [encode_data(ommer.hash) for ommer in block.ommers],
            "transactions": transactions,
        }
        if block.withdrawals is not None:
            rendered["withdrawals"] = [
                {
                    "index": hex(withdrawal.index),
                    "validatorIndex": hex(withdrawal.validator_index),
                    "address": encode_data(withdrawal.address),
                    "amount": hex(withdrawal.amount_gwei),
                }
                for withdrawal in block.withdrawals
            ]
        return rendered

    def receipt(self, transaction: Transaction, placed: PlacedOutcome, place: Place) -> dict[str, Json]:
        """Return a receipt as its fork has it."""
        rendered = super(EthereumSerializer, self).receipt(transaction, placed, place)
        receipt = placed.outcome.receipt
        if isinstance(receipt, RootReceipt):
            del rendered["status"]
            rendered["root"] = encode_data(receipt.root)
        if transaction.type == BLOB:
            header = self.chain.foreign(place.header.height).header
            blobs = self.chain.schedule.blobs_at(header.timestamp)
            rendered["blobGasUsed"] = hex(GAS_PER_BLOB * len(transaction.blob_versioned_hashes))
            rendered["blobGasPrice"] = hex(price_of_blobs(header.excess_blob_gas or 0, blobs))
        return rendered


def ethereum_serializer(chain: ForeignChain, *, block_timestamps: bool) -> EthereumSerializer:
    """Return the serializer of a chain; see `Serializer.block_timestamps`."""
    return EthereumSerializer(
        chain=chain,
        receipt_lane=False,
        block_timestamps=block_timestamps,
        header=ethereum_header_fields,  # type: ignore[arg-type]  # every header of the chain is one
    )
