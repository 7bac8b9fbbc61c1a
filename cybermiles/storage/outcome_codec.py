"""Bytes of the outcomes of a block's transactions (key `r` of the schema).

    count u32 ‖ end of each record u32… ‖ records

so that one outcome is found without decoding the others. A record is

    type u8 ‖ succeeded u8 ‖ lane u8 ‖ cumulative gas u64 ‖ gas used u64 ‖ compute units u64
    ‖ index in the block of its first log u32 ‖ number of its logs u32
    ‖ rlp [effective gas price, contract address, failure, output]

The logs are stored with those of the whole block (`types.block_logs`); the bloom follows from them.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from cybermiles.chain.fees import Lane
from cybermiles.errors import StorageError
from cybermiles.execution.outcome import TransactionOutcome
from cybermiles.types import rlp
from cybermiles.types.primitives import Address, Wei
from cybermiles.types.receipt import Receipt, logs_bloom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.types.block_logs import BlockLogs

_FIXED = Struct(">BBBQQQII")
_U32 = 4
_NOTHING = b"\x80\x80\x80"
"""No contract, failure or output: what most transactions have."""


class StoredOutcome(NamedTuple):
    """An outcome as it is read back."""

    outcome: TransactionOutcome
    first_log_index: int
    """Number of logs of earlier transactions of the block; Ethereum counts logs per block."""


def encode_outcomes(outcomes: Sequence[TransactionOutcome]) -> bytes:
    """Return the table of all outcomes of a block."""
    records = []
    ends = []
    end = 0
    first_log_index = 0
    for outcome in outcomes:
        record = _encode(outcome, first_log_index)
        records.append(record)
        end += len(record)
        ends.append(end)
        first_log_index += len(outcome.receipt.logs)
    count = len(records)
    return b"".join((Struct(f">I{count}I").pack(count, *ends), *records))


def count_outcomes(table: bytes) -> int:
    """Return how many outcomes the table has."""
    return int.from_bytes(table[:_U32])


def decode_outcome(table: bytes, index: int, logs: BlockLogs | None) -> StoredOutcome:
    """Return one outcome, given the block's logs. Raises StorageError where there is none, DecodingError on junk."""
    return _decode(_record(table, index), logs)


def count_logs(table: bytes, index: int) -> int:
    """Return how many logs one transaction has. Raises StorageError where there is no such transaction."""
    record = _record(table, index)
    if len(record) < _FIXED.size:
        raise StorageError(f"a transaction's outcome has {len(record)} bytes")
    logs: int = _FIXED.unpack_from(record)[-1]
    return logs


def _record(table: bytes, index: int) -> bytes:
    count = count_outcomes(table)
    if not 0 <= index < count:
        raise StorageError(f"no transaction {index} in a block of {count}")
    records = _U32 * (count + 1)
    start = int.from_bytes(table[_U32 * index : _U32 * (index + 1)]) if index else 0
    end = int.from_bytes(table[_U32 * (index + 1) : _U32 * (index + 2)])
    return table[records + start : records + end]


def _encode(outcome: TransactionOutcome, first_log_index: int) -> bytes:
    receipt = outcome.receipt
    fixed = _FIXED.pack(
        receipt.transaction_type,
        receipt.succeeded,
        outcome.lane,
        receipt.cumulative_gas_used,
        outcome.gas_used,
        outcome.compute_units,
        first_log_index,
        len(receipt.logs),
    )
    if not (outcome.failure or outcome.contract_address or outcome.output):
        return fixed + _plain(outcome.effective_gas_price)
    return fixed + rlp.encode_list(
        (
            rlp.encode_int(outcome.effective_gas_price),
            rlp.encode_bytes(outcome.contract_address or b""),
            rlp.encode_bytes((outcome.failure or "").encode()),
            rlp.encode_bytes(outcome.output),
        )
    )


@lru_cache(maxsize=256)
def _plain(effective_gas_price: int) -> bytes:
    """Return the list of a transaction that has nothing but a price, which most of a block have in common."""
    return rlp.encode_list((rlp.encode_int(effective_gas_price), _NOTHING))


def _decode(record: bytes, block_logs: BlockLogs | None) -> StoredOutcome:
    if len(record) <= _FIXED.size:
        raise StorageError(f"a transaction's outcome has {len(record)} bytes")
    type_, succeeded, lane, cumulative_gas, gas_used, compute_units, first_log, count = _FIXED.unpack_from(record)
    price, contract, failure, output = rlp.as_list(rlp.decode(record[_FIXED.size :]), length=4)
    if count and block_logs is None:
        raise StorageError(f"{count} logs of a transaction are missing: the store is damaged")
    logs = () if block_logs is None else block_logs.logs(first_log, count)
    return StoredOutcome(
        TransactionOutcome(
            receipt=Receipt(type_, bool(succeeded), cumulative_gas, logs, logs_bloom(logs)),
            gas_used=gas_used,
            effective_gas_price=Wei(rlp.as_int(price)),
            lane=Lane(lane),
            compute_units=compute_units,
            contract_address=Address(rlp.as_bytes(contract)) or None,
            failure=rlp.as_bytes(failure).decode() or None,
            output=rlp.as_bytes(output),
        ),
        first_log,
    )
