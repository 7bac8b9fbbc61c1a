"""Transactions from wire bytes, and new ones signed with a local key.

`decode_transaction` is the only way a stranger's bytes become a `Transaction`. It accepts one encoding for each
transaction: canonical RLP, exact field counts, low s. Fees, nonces against an account, intrinsic gas and the
chain id are other modules' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.crypto.hashing import keccak256
from cybermiles.crypto.secp256k1 import HALF_N, N, address_of, sign
from cybermiles.errors import (
    DecodingError,
    InvalidSignature,
    MalformedTransaction,
    OversizedTransaction,
    UnsupportedTransactionType,
)
from cybermiles.types import rlp
from cybermiles.types.primitives import Address
from cybermiles.types.transaction import (
    ACCESS_LIST,
    DYNAMIC_FEE,
    LEGACY,
    SET_CODE,
    Authorization,
    Transaction,
    signing_payload,
    unsigned_fields,
)

if TYPE_CHECKING:
    from cybermiles.types.rlp import Item
    from cybermiles.types.transaction import AccessList

MAX_TRANSACTION_BYTES = 128 * 1024
"""Wire bytes of one transaction, as in geth's pool."""
MAX_RLP_DEPTH = 4
"""Transaction, access list, entry, slots."""


def decode_transaction(raw: bytes) -> Transaction:
    """Return the transaction that `raw` is the canonical encoding of.

    Raises OversizedTransaction, UnsupportedTransactionType (blobs and unknown types), MalformedTransaction or
    InvalidSignature (r, s or y parity out of range, or high s).
    """
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise OversizedTransaction(f"oversized data: transaction size {len(raw)}, limit {MAX_TRANSACTION_BYTES}")
    if not raw:
        raise MalformedTransaction("typed transaction too short")
    kind = raw[0]
    try:
        if kind >= 0xC0:
            return _legacy(raw)
        if kind == DYNAMIC_FEE:
            return _typed(raw, DYNAMIC_FEE, 12)
        if kind == ACCESS_LIST:
            return _typed(raw, ACCESS_LIST, 11)
        if kind == SET_CODE:
            return _typed(raw, SET_CODE, 13)
    except DecodingError as error:
        raise MalformedTransaction(str(error)) from error
    raise UnsupportedTransactionType(f"transaction type not supported: {kind}")


def _legacy(raw: bytes) -> Transaction:
    fields = rlp.as_list(rlp.decode(raw, max_depth=1), length=9)
    nonce, price, gas_limit, to, value, data, v_item, r_item, s_item = fields
    v = rlp.as_int(v_item, bits=72)
    if v in (27, 28):
        chain_id, y_parity = None, v - 27
    elif v >= 35:
        chain_id, y_parity = (v - 35) // 2, (v - 35) % 2
    else:
        raise InvalidSignature(f"invalid transaction v, r, s values: v is {v}")
    if chain_id is not None and chain_id >> 64:
        raise MalformedTransaction("chain id over 64 bits")
    r, s = _signature(y_parity, r_item, s_item)
    gas_price = rlp.as_int(price)
    return Transaction(
        type=LEGACY,
        chain_id=chain_id,
        nonce=rlp.as_int(nonce, bits=64),
        max_priority_fee_per_gas=gas_price,
        max_fee_per_gas=gas_price,
        gas_limit=rlp.as_int(gas_limit, bits=64),
        to=_recipient(to),
        value=rlp.as_int(value),
        data=rlp.as_bytes(data),
        y_parity=y_parity,
        r=r,
        s=s,
        raw=raw,
    )


def _typed(raw: bytes, kind: int, field_count: int) -> Transaction:
    fields = rlp.as_list(rlp.decode(raw[1:], max_depth=MAX_RLP_DEPTH), length=field_count)
    chain_id = rlp.as_int(fields[0], bits=64)
    nonce = rlp.as_int(fields[1], bits=64)
    tip = rlp.as_int(fields[2])
    if kind == ACCESS_LIST:
        cap, rest = tip, fields[3:]
    else:
        cap, rest = rlp.as_int(fields[3]), fields[4:]
    gas_limit, to_item, value, data, access_list = rest[:5]
    to = _recipient(to_item)
    authorizations: tuple[Authorization, ...] = ()
    if kind == SET_CODE:
        if to is None:
            raise MalformedTransaction("a set-code transaction needs a recipient")
        authorizations = _authorizations(rest[5])
    y_parity = rlp.as_int(fields[-3], bits=8)
    r, s = _signature(y_parity, fields[-2], fields[-1])
    return Transaction(
        type=kind,
        chain_id=chain_id,
        nonce=nonce,
        max_priority_fee_per_gas=tip,
        max_fee_per_gas=cap,
        gas_limit=rlp.as_int(gas_limit, bits=64),
        to=to,
        value=rlp.as_int(value),
        data=rlp.as_bytes(data),
        y_parity=y_parity,
        r=r,
        s=s,
        raw=raw,
        access_list=_access_list(access_list),
        authorizations=authorizations,
    )


def _signature(y_parity: int, r_item: Item, s_item: Item) -> tuple[int, int]:
    r, s = rlp.as_int(r_item), rlp.as_int(s_item)
    if y_parity > 1 or not 0 < r < N or not 0 < s <= HALF_N:
        raise InvalidSignature("invalid transaction v, r, s values")
    return r, s


def _recipient(item: Item) -> Address | None:
    data = rlp.as_bytes(item)
    if not data:
        return None
    if len(data) != 20:
        raise MalformedTransaction(f"a recipient has 20 bytes or none, not {len(data)}")
    return Address(data)


def _access_list(item: Item) -> AccessList:
    entries = []
    for entry in rlp.as_list(item):
        address, slots = rlp.as_list(entry, length=2)
        entries.append(
            (
                Address(rlp.as_bytes(address, size=20)),
                tuple(int.from_bytes(rlp.as_bytes(slot, size=32)) for slot in rlp.as_list(slots)),
            )
        )
    return tuple(entries)


def _authorizations(item: Item) -> tuple[Authorization, ...]:
    authorizations = []
    for entry in rlp.as_list(item):
        chain_id, address, nonce, y_parity, r, s = rlp.as_list(entry, length=6)
        authorizations.append(
            Authorization(
                rlp.as_int(chain_id),
                Address(rlp.as_bytes(address, size=20)),
                rlp.as_int(nonce, bits=64),
                rlp.as_int(y_parity, bits=8),
                rlp.as_int(r),
                rlp.as_int(s),
            )
        )
    if not authorizations:
        raise MalformedTransaction("a set-code transaction needs at least one authorization")
    return tuple(authorizations)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsignedTransaction:
    """What is to be signed. For types 0 and 1 both fee fields are the gas price."""

    type: int = DYNAMIC_FEE
    chain_id: int | None
    nonce: int
    max_fee_per_gas: int
    max_priority_fee_per_gas: int
    gas_limit: int
    to: Address | None
    value: int = 0
    data: bytes = b""
    access_list: AccessList = ()
    authorizations: tuple[Authorization, ...] = ()

    def sign(self, private_key: bytes) -> Transaction:
        """Return the signed transaction; its sender is the key's address."""
        draft = self._with_signature(0, 0, 0, b"")
        y_parity, r, s = sign(keccak256(signing_payload(draft)), private_key)
        fields = unsigned_fields(draft)
        if self.type == LEGACY:
            v = 27 + y_parity if self.chain_id is None else self.chain_id * 2 + 35 + y_parity
            prefix = b""
        else:
            v, prefix = y_parity, bytes((self.type,))
        signature = [rlp.encode_int(v), rlp.encode_int(r), rlp.encode_int(s)]
        signed = self._with_signature(y_parity, r, s, prefix + rlp.encode_list(fields + signature))
        signed.remember_sender(Address(address_of(private_key)))
        return signed

    def _with_signature(self, y_parity: int, r: int, s: int, raw: bytes) -> Transaction:
        return Transaction(
            type=self.type,
            chain_id=self.chain_id,
            nonce=self.nonce,
            max_priority_fee_per_gas=self.max_priority_fee_per_gas,
            max_fee_per_gas=self.max_fee_per_gas,
            gas_limit=self.gas_limit,
            to=self.to,
            value=self.value,
            data=self.data,
            y_parity=y_parity,
            r=r,
            s=s,
            raw=raw,
            access_list=self.access_list,
            authorizations=self.authorizations,
        )
