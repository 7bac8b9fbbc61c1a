"""Transactions from wire bytes, and new ones signed with a local key.

`decode_transaction` is the only way a stranger's bytes become a `Transaction`. It accepts one encoding for each
transaction: canonical RLP, exact field counts, low s. Fees, nonces against an account, intrinsic gas and the
chain id are other modules' business.

An unsigned transaction (`UnsignedTransaction.claim`) decodes too: of type 2, s is 0 and r the sender. Execution and the
pool refuse it (`vm.validity.check_static`) on every chain but one for development.
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
    from cybermiles.types.transaction import AccessList

MAX_TRANSACTION_BYTES = 128 * 1024
"""Wire bytes of one transaction, as in geth's pool."""


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
        if kind in (DYNAMIC_FEE, ACCESS_LIST, SET_CODE):
            return _typed(raw, kind)
    except DecodingError as error:
        raise MalformedTransaction(str(error)) from error
    raise UnsupportedTransactionType(f"transaction type not supported: {kind}")


def _legacy(raw: bytes) -> Transaction:
    position = _body(raw, 0)
    (nonce, gas_price, gas_limit), position = rlp.read_ints(raw, position, 3)
    to, position = _recipient(raw, position)
    (value,), position = rlp.read_ints(raw, position, 1)
    data, position = rlp.read_bytes(raw, position)
    (v, r, s), position = rlp.read_ints(raw, position, 3)
    if position != len(raw):
        raise DecodingError("rlp: bytes after the signature")
    chain_id, y_parity = _replay_protection(v)
    if (nonce | gas_limit) >> 64:
        raise MalformedTransaction("nonce or gas limit over 64 bits")
    _check_signature(y_parity, r, s)
    return Transaction(
        type=LEGACY,
        chain_id=chain_id,
        nonce=nonce,
        max_priority_fee_per_gas=gas_price,
        max_fee_per_gas=gas_price,
        gas_limit=gas_limit,
        to=to,
        value=value,
        data=data,
        y_parity=y_parity,
        r=r,
        s=s,
        raw=raw,
    )


def _replay_protection(v: int) -> tuple[int | None, int]:
    """Return (chain id or None, y parity) of a legacy signature's v (EIP-155)."""
    if v in (27, 28):
        return None, v - 27
    if v < 35:
        raise InvalidSignature(f"invalid transaction v, r, s values: v is {v}")
    chain_id, y_parity = divmod(v - 35, 2)
    if chain_id >> 64:
        raise MalformedTransaction("chain id over 64 bits")
    return chain_id, y_parity


def _typed(raw: bytes, kind: int) -> Transaction:
    position = _body(raw, 1)
    if kind == ACCESS_LIST:
        (chain_id, nonce, cap, gas_limit), position = rlp.read_ints(raw, position, 4)
        tip = cap
    else:
        (chain_id, nonce, tip, cap, gas_limit), position = rlp.read_ints(raw, position, 5)
    to, position = _recipient(raw, position)
    (value,), position = rlp.read_ints(raw, position, 1)
    data, position = rlp.read_bytes(raw, position)
    access_list, position = _access_list(raw, position)
    authorizations: tuple[Authorization, ...] = ()
    if kind == SET_CODE:
        authorizations, position = _authorizations(raw, position)
        if to is None or not authorizations:
            raise MalformedTransaction("a set-code transaction needs a recipient and at least one authorization")
    (y_parity, r, s), position = rlp.read_ints(raw, position, 3)
    if position != len(raw):
        raise DecodingError("rlp: bytes after the signature")
    if (chain_id | nonce | gas_limit) >> 64:
        raise MalformedTransaction("chain id, nonce or gas limit over 64 bits")
    claimed = _claimed_sender(kind, y_parity, r, s)
    if claimed is None:
        _check_signature(y_parity, r, s)
    return Transaction(
        type=kind,
        chain_id=chain_id,
        nonce=nonce,
        max_priority_fee_per_gas=tip,
        max_fee_per_gas=cap,
        gas_limit=gas_limit,
        to=to,
        value=value,
        data=data,
        y_parity=y_parity,
        r=r,
        s=s,
        raw=raw,
        access_list=access_list,
        authorizations=authorizations,
        sender=claimed,
        is_unsigned=claimed is not None,
    )


def _body(raw: bytes, position: int) -> int:
    """Return where the fields start; the list at `position` must fill the rest of the bytes."""
    start, stop = rlp.read_list(raw, position)
    if stop != len(raw):
        raise DecodingError(f"rlp: {len(raw) - stop} bytes after the transaction")
    return start


def _check_signature(y_parity: int, r: int, s: int) -> None:
    if y_parity > 1 or not 0 < r < N or not 0 < s <= HALF_N:
        raise InvalidSignature("invalid transaction v, r, s values")


def _claimed_sender(kind: int, y_parity: int, r: int, s: int) -> Address | None:
    """Return whom an unsigned transaction claims to be from, None for a signed one. No signature has s = 0."""
    if kind != DYNAMIC_FEE or s or y_parity or r >> 160:
        return None
    return Address(r.to_bytes(20))


def _recipient(raw: bytes, position: int) -> tuple[Address | None, int]:
    data, position = rlp.read_bytes(raw, position)
    if not data:
        return None, position
    if len(data) != 20:
        raise MalformedTransaction(f"a recipient has 20 bytes or none, not {len(data)}")
    return Address(data), position


def _address(raw: bytes, position: int) -> tuple[Address, int]:
    data, position = rlp.read_bytes(raw, position)
    if len(data) != 20:
        raise MalformedTransaction(f"an address has 20 bytes, not {len(data)}")
    return Address(data), position


def _access_list(raw: bytes, position: int) -> tuple[AccessList, int]:
    position, end = rlp.read_list(raw, position)
    if position == end:
        return (), end
    entries = []
    while position < end:
        position, entry_end = rlp.read_list(raw, position)
        address, position = _address(raw, position)
        slots, position = _slots(raw, position)
        if position != entry_end:
            raise DecodingError("rlp: an access list entry is an address and its slots")
        entries.append((address, slots))
    if position != end:
        raise DecodingError("rlp: the last entry ends after the access list")
    return tuple(entries), end


def _slots(raw: bytes, position: int) -> tuple[tuple[int, ...], int]:
    """Read a list of 32-byte slots, each of which takes 33 bytes."""
    start, end = rlp.read_list(raw, position)
    slots = tuple(int.from_bytes(raw[at + 1 : at + 33]) for at in range(start, end, 33) if raw[at] == 0xA0)
    if len(slots) * 33 != end - start:
        raise DecodingError("rlp: a storage slot has 32 bytes")
    return slots, end


def _authorizations(raw: bytes, position: int) -> tuple[tuple[Authorization, ...], int]:
    """Read the list of EIP-7702; who signed each is a question for execution."""
    position, end = rlp.read_list(raw, position)
    authorizations = []
    while position < end:
        position, entry_end = rlp.read_list(raw, position)
        (chain_id,), position = rlp.read_ints(raw, position, 1)
        address, position = _address(raw, position)
        (nonce, y_parity, r, s), position = rlp.read_ints(raw, position, 4)
        if position != entry_end:
            raise DecodingError("rlp: an authorization has six fields")
        if nonce >> 64 or y_parity >> 8:
            raise MalformedTransaction("authorization: nonce over 64 bits or y parity over 8")
        authorizations.append(Authorization(chain_id, address, nonce, y_parity, r, s))
    if position != end:
        raise DecodingError("rlp: the last authorization ends after the list")
    return tuple(authorizations), end


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
        return self._finished(draft, y_parity, r, s, Address(address_of(private_key)))

    def claim(self, sender: Address) -> Transaction:
        """Return the transaction as `sender`'s without a signature, of type 2. Only development chains take it."""
        draft = self._with_signature(0, 0, 0, b"")
        claimed = self._finished(draft, 0, int.from_bytes(sender), 0, sender)
        claimed.is_unsigned = True
        return claimed

    def _finished(self, draft: Transaction, y_parity: int, r: int, s: int, sender: Address) -> Transaction:
        fields = unsigned_fields(draft)
        if self.type == LEGACY:
            v = 27 + y_parity if self.chain_id is None else self.chain_id * 2 + 35 + y_parity
            prefix = b""
        else:
            v, prefix = y_parity, bytes((self.type,))
        signature = [rlp.encode_int(v), rlp.encode_int(r), rlp.encode_int(s)]
        signed = self._with_signature(y_parity, r, s, prefix + rlp.encode_list(fields + signature))
        signed.remember_sender(sender)
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
