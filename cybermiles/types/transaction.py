"""Signed Ethereum transactions of types 0, 1, 2 and 4, decoded once.

One class carries every type: fees are unified (`max_fee_per_gas`; a legacy gas price is both fee fields), so
the pool, the lanes and the EVM never ask which type it is. The hash comes from the wire bytes; the
sender is recovered once, on demand or in a batch, and remembered. Instances are immutable by convention: a plain
slotted class, because building one is on the path of every submitted transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from cybermiles.crypto.hashing import keccak256
from cybermiles.crypto.secp256k1 import recover_address, recover_addresses
from cybermiles.errors import InvalidSignature, UnprotectedTransaction, WrongChainId
from cybermiles.types import rlp
from cybermiles.types.primitives import Address, Hash32

if TYPE_CHECKING:
    from collections.abc import Sequence

AccessList: TypeAlias = tuple[tuple[Address, tuple[int, ...]], ...]
"""(address, storage slots) pairs, EIP-2930."""

LEGACY = 0
ACCESS_LIST = 1
DYNAMIC_FEE = 2
BLOB = 3
"""Known to the EVM for conformance tests; never decoded from the wire."""
SET_CODE = 4

_AUTHORIZATION_MAGIC = b"\x05"


class Authorization(NamedTuple):
    """EIP-7702: an account lets `address`'s code run as its own."""

    chain_id: int
    """0 for any chain."""
    address: Address
    nonce: int
    y_parity: int
    r: int
    s: int

    def authority(self) -> Address | None:
        """Return who signed it, None where the signature recovers nobody."""
        message = _AUTHORIZATION_MAGIC + rlp.encode_list(
            (rlp.encode_int(self.chain_id), rlp.encode_bytes(self.address), rlp.encode_int(self.nonce))
        )
        try:
            return Address(recover_address(keccak256(message), self.y_parity, self.r, self.s))
        except InvalidSignature:
            return None


class Transaction:
    """A signed transaction. `raw` is its canonical wire encoding."""

    __slots__ = (
        "_sender",
        "access_list",
        "authorizations",
        "blob_versioned_hashes",
        "chain_id",
        "data",
        "gas_limit",
        "hash",
        "is_unsigned",
        "max_fee_per_blob_gas",
        "max_fee_per_gas",
        "max_priority_fee_per_gas",
        "nonce",
        "r",
        "raw",
        "s",
        "to",
        "type",
        "value",
        "y_parity",
    )

    def __init__(  # noqa: PLR0913  (one argument a field, by keyword)
        self,
        *,
        type: int,  # noqa: A002  (the protocol's name)
        chain_id: int | None,
        nonce: int,
        max_priority_fee_per_gas: int,
        max_fee_per_gas: int,
        gas_limit: int,
        to: Address | None,
        value: int,
        data: bytes,
        y_parity: int,
        r: int,
        s: int,
        raw: bytes,
        access_list: AccessList = (),
        authorizations: tuple[Authorization, ...] = (),
        max_fee_per_blob_gas: int = 0,
        blob_versioned_hashes: tuple[Hash32, ...] = (),
        sender: Address | None = None,
        is_unsigned: bool = False,
    ) -> None:
        """`is_unsigned`: it claims its sender without a signature; only a chain for development may include it."""
        self.type = type
        self.chain_id = chain_id
        self.nonce = nonce
        self.max_priority_fee_per_gas = max_priority_fee_per_gas
        self.max_fee_per_gas = max_fee_per_gas
        self.gas_limit = gas_limit
        self.to = to
        self.value = value
        self.data = data
        self.y_parity = y_parity
        self.r = r
        self.s = s
        self.raw = raw
        self.hash = Hash32(keccak256(raw))
        self.access_list = access_list
        self.authorizations = authorizations
        self.max_fee_per_blob_gas = max_fee_per_blob_gas
        self.blob_versioned_hashes = blob_versioned_hashes
        self._sender = sender
        self.is_unsigned = is_unsigned

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Transaction) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.hash)

    def __repr__(self) -> str:
        return f"Transaction(0x{self.hash.hex()})"

    @property
    def sender(self) -> Address:
        """The account that signed it. Raises InvalidSignature where nobody did."""
        if self._sender is None:
            self._sender = Address(recover_address(self.signing_hash, self.y_parity, self.r, self.s))
        return self._sender

    @property
    def has_sender(self) -> bool:
        """Whether the sender is known already, so that asking costs nothing."""
        return self._sender is not None

    def remember_sender(self, sender: Address) -> None:
        """Store a sender recovered elsewhere, in a batch or by the pool."""
        self._sender = sender

    @property
    def size(self) -> int:
        """Wire bytes."""
        return len(self.raw)

    @property
    def signing_hash(self) -> Hash32:
        """What the sender signed."""
        return Hash32(keccak256(signing_payload(self)))

    def effective_gas_price(self, base_fee: int) -> int:
        """Return wei per gas at this base fee (EIP-1559), for any type."""
        return min(self.max_fee_per_gas, base_fee + self.max_priority_fee_per_gas)


def check_chain_id(transaction: Transaction, chain_id: int, *, allow_unprotected: bool) -> None:
    """Raise WrongChainId, or UnprotectedTransaction where one without chain id is not allowed."""
    if transaction.chain_id is None:
        if not allow_unprotected:
            raise UnprotectedTransaction(
                f"only replay-protected (EIP-155) transactions allowed over RPC: sign it with chain id {chain_id}"
            )
    elif transaction.chain_id != chain_id:
        raise WrongChainId(f"invalid chain id for signer: have {transaction.chain_id} want {chain_id}")


def recover_senders(transactions: Sequence[Transaction]) -> None:
    """Recover and remember the senders that are not known yet; unrecoverable ones stay unknown."""
    unknown = [tx for tx in transactions if not tx.has_sender]
    batch = ((tx.signing_hash, tx.y_parity, tx.r, tx.s) for tx in unknown)
    for transaction, sender in zip(unknown, recover_addresses(batch), strict=True):
        if sender is not None:
            transaction.remember_sender(Address(sender))


def signing_payload(tx: Transaction) -> bytes:
    """Return the bytes whose keccak is signed: the wire bytes without the signature, under a new list header."""
    fields = [_unsigned_wire_bytes(tx)] if tx.raw else unsigned_fields(tx)
    if tx.type == LEGACY:
        if tx.chain_id is not None:
            fields += [rlp.encode_int(tx.chain_id), b"\x80", b"\x80"]
        return rlp.encode_list(fields)
    return bytes((tx.type,)) + rlp.encode_list(fields)


def _unsigned_wire_bytes(tx: Transaction) -> bytes:
    """Cut the encoded fields before the signature out of the wire bytes, three times faster than encoding them."""
    v = tx.y_parity
    start = 1
    if tx.type == LEGACY:
        v += 27 if tx.chain_id is None else tx.chain_id * 2 + 35
        start = 0
    prefix = tx.raw[start]
    start += 1 if prefix < 0xF8 else prefix - 0xF6
    return tx.raw[start : len(tx.raw) - rlp.int_size(v) - rlp.int_size(tx.r) - rlp.int_size(tx.s)]


def unsigned_fields(tx: Transaction) -> list[bytes]:
    """Return the encoded fields before the signature, in the order of the type."""
    to = rlp.encode_bytes(b"" if tx.to is None else tx.to)
    head = [rlp.encode_int(tx.nonce)]
    if tx.type in (LEGACY, ACCESS_LIST):
        head.append(rlp.encode_int(tx.max_fee_per_gas))
    else:
        head += [rlp.encode_int(tx.max_priority_fee_per_gas), rlp.encode_int(tx.max_fee_per_gas)]
    head += [
        rlp.encode_int(tx.gas_limit),
        to,
        rlp.encode_int(tx.value),
        rlp.encode_bytes(tx.data),
    ]
    if tx.type == LEGACY:
        return head
    fields = [rlp.encode_int(tx.chain_id or 0), *head, _encode_access_list(tx.access_list)]
    if tx.type == BLOB:
        fields += [
            rlp.encode_int(tx.max_fee_per_blob_gas),
            rlp.encode(list(tx.blob_versioned_hashes)),
        ]
    if tx.type == SET_CODE:
        fields.append(_encode_authorizations(tx.authorizations))
    return fields


def _encode_access_list(access_list: AccessList) -> bytes:
    return rlp.encode([[address, [slot.to_bytes(32) for slot in slots]] for address, slots in access_list])


def _encode_authorizations(authorizations: Sequence[Authorization]) -> bytes:
    return rlp.encode(
        [
            [
                rlp.int_to_bytes(a.chain_id),
                a.address,
                rlp.int_to_bytes(a.nonce),
                rlp.int_to_bytes(a.y_parity),
                rlp.int_to_bytes(a.r),
                rlp.int_to_bytes(a.s),
            ]
            for a in authorizations
        ]
    )
