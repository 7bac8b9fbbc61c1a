"""The layout of the store: every key, every value, in one table.

Integers are big-endian and of fixed width, so that keys sort by height. `height` is 8 bytes,
`index` 4, an address 20, a hash or slot 32.

    key                         value
    m:schema                    4-byte version of this table
    m:genesis                   hash of block 0's header
    m:head                      height ‖ block hash ‖ state root: the last committed block
    m:flat                      height ‖ state root that the flat state (a, s) belongs to
    m:supply                    rlp [at genesis, minted since, burnt since], wei
    m:oldest                    height of the oldest state root whose trie is complete
    h ‖ height                  header, RLP
    b ‖ height                  block in wire form (none for block 0)
    c ‖ height                  the commit that decided the block, RLP
    i ‖ block hash              height
    r ‖ height                  outcomes of the block's transactions, see `outcome_codec`
    g ‖ height                  logs of the block, see `types.block_logs`; no entry where there are none
    t ‖ transaction hash        height ‖ index
    l ‖ height                  fingerprints of g, see `log_index`; no entry where g has none
    a ‖ address                 account now, see `encode_account`
    s ‖ address ‖ slot          storage word now, without leading zeros; no entry where 0
    k ‖ code hash               code
    n ‖ node hash               node of the account trie, see `encode_node`
    o ‖ address ‖ node hash     node of that account's storage trie
    x ‖ height                  nodes that this block made stale, see `encode_stale`
    v ‖ height                  validators from this height on, RLP; an entry where the set changes
    p ‖ height                  rotation of this height, RLP; of the last heights up to the head's + 2
    e ‖ evidence hash           height of the block that contains it
    u ‖ height                  what undoes this block, see `rollback`; of the last blocks
    q ‖ evidence hash           evidence that waits for a block

All of a block's entries are written in one batch, so either all of them are there or none. Waiting evidence
is no block's: the evidence pool writes it, on its own.
A change of this table raises `SCHEMA_VERSION`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.errors import StorageError
from cybermiles.types.account import Account
from cybermiles.types.primitives import EMPTY_CODE_HASH, EMPTY_TRIE_ROOT, Address, Hash32

if TYPE_CHECKING:
    from collections.abc import Iterable

SCHEMA_VERSION = 4

SCHEMA = b"m:schema"
GENESIS = b"m:genesis"
HEAD = b"m:head"
FLAT = b"m:flat"
SUPPLY = b"m:supply"
OLDEST_STATE = b"m:oldest"

HEADER = b"h"
BLOCK = b"b"
COMMIT = b"c"
HEIGHT = b"i"
OUTCOMES = b"r"
BLOCK_LOGS = b"g"
TRANSACTION = b"t"
LOG_INDEX = b"l"
ACCOUNT = b"a"
SLOT = b"s"
CODE = b"k"
ACCOUNT_NODE = b"n"
STORAGE_NODE = b"o"
STALE = b"x"
VALIDATORS = b"v"
ROTATION = b"p"
COMMITTED_EVIDENCE = b"e"
UNDO = b"u"
PENDING_EVIDENCE = b"q"

_HEIGHT_BYTES = 8
_HASH_BYTES = 32
_ADDRESS_BYTES = 20
_HAS_STORAGE, _HAS_CODE = 1, 2


def encode_height(height: int) -> bytes:
    """Return 8 bytes that sort like the heights."""
    return height.to_bytes(_HEIGHT_BYTES)


def at_height(prefix: bytes, height: int) -> bytes:
    """Return the key of a per-block record."""
    return prefix + height.to_bytes(_HEIGHT_BYTES)


def height_range(prefix: bytes, first: int, last: int) -> tuple[bytes, bytes]:
    """Return the key range of the records from height `first` to `last`, both included."""
    return at_height(prefix, first), at_height(prefix, last + 1)


def height_in(key: bytes) -> int:
    """Return the height at the end of a per-block key."""
    return int.from_bytes(key[-_HEIGHT_BYTES:])


def node_key(owner: bytes, node_hash: Hash32) -> bytes:
    """Return the key of a trie node; `owner` is an address, or b"" for the account trie."""
    return STORAGE_NODE + owner + node_hash if owner else ACCOUNT_NODE + node_hash


def slot_key(address: Address, slot: int) -> bytes:
    """Return the key of a word of the current state."""
    return SLOT + address + slot.to_bytes(_HASH_BYTES)


def slot_range(address: Address) -> tuple[bytes, bytes]:
    """Return the key range of all words of one account."""
    return SLOT + address, SLOT + address + b"\xff" * (_HASH_BYTES + 1)


def encode_account(account: Account) -> bytes:
    """Return flags ‖ 8-byte nonce ‖ [storage root] ‖ [code hash] ‖ balance without leading zeros.

    Bit 0 of the flags byte: a storage root other than the empty trie's follows; bit 1: a code hash.
    """
    nonce, balance, storage_root, code_hash = account
    flags = 0
    hashes = b""
    if storage_root != EMPTY_TRIE_ROOT:
        flags = _HAS_STORAGE
        hashes = storage_root
    if code_hash != EMPTY_CODE_HASH:
        flags |= _HAS_CODE
        hashes += code_hash
    size = (balance.bit_length() + 7) >> 3
    return b"%c%b%b%b" % (flags, nonce.to_bytes(8), hashes, balance.to_bytes(size))


def decode_account(data: bytes) -> Account:
    """Return the account that `encode_account` wrote."""
    flags = data[0]
    position = 9
    storage_root, code_hash = EMPTY_TRIE_ROOT, EMPTY_CODE_HASH
    if flags & _HAS_STORAGE:
        storage_root = Hash32(data[position : position + _HASH_BYTES])
        position += _HASH_BYTES
    if flags & _HAS_CODE:
        code_hash = Hash32(data[position : position + _HASH_BYTES])
        position += _HASH_BYTES
    balance = int.from_bytes(data[position:])
    return Account(int.from_bytes(data[1:9]), balance, storage_root, code_hash)


def encode_node(height: int, node: bytes) -> bytes:
    """Return birth height ‖ node RLP.

    The height is that of the block which wrote the node last. It protects a node that became stale
    and was created again later from being pruned for the first death.
    """
    return height.to_bytes(_HEIGHT_BYTES) + node


def decode_node(data: bytes) -> tuple[int, bytes]:
    """Return (birth height, node RLP)."""
    return int.from_bytes(data[:_HEIGHT_BYTES]), data[_HEIGHT_BYTES:]


def encode_stale(nodes: Iterable[tuple[bytes, Hash32]]) -> bytes:
    """Return the number of account nodes ‖ their hashes ‖ (address ‖ hash) of every storage node."""
    account_nodes = []
    storage_nodes = []
    for owner, node_hash in nodes:
        if owner:
            storage_nodes.append(owner + node_hash)
        else:
            account_nodes.append(node_hash)
    return len(account_nodes).to_bytes(4) + b"".join(account_nodes) + b"".join(storage_nodes)


def decode_stale(data: bytes) -> list[tuple[bytes, Hash32]]:
    """Return the (owner, hash) pairs, account nodes first. Raises StorageError on a torn record."""
    middle = 4 + int.from_bytes(data[:4]) * _HASH_BYTES
    width = _ADDRESS_BYTES + _HASH_BYTES
    if middle > len(data) or (len(data) - middle) % width:
        raise StorageError(f"a list of stale nodes has {len(data)} bytes")
    nodes: list[tuple[bytes, Hash32]] = [
        (b"", Hash32(data[start : start + _HASH_BYTES])) for start in range(4, middle, _HASH_BYTES)
    ]
    for start in range(middle, len(data), width):
        split = start + _ADDRESS_BYTES
        nodes.append((data[start:split], Hash32(data[split : start + width])))
    return nodes
