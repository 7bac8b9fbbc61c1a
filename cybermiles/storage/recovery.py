"""What is checked before a node trusts the store it finds.

`check_store` runs at every start and reads little: the head must agree with itself in every form it
is stored in, and the last headers must form a chain. `verify_state` reads the whole state of the
head and is for `db verify`. Neither repairs: a store that is wrong once cannot be believed in the
rest, and the way back is a snapshot or a new sync.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import ConfigError, DecodingError, StorageError
from cybermiles.state.trie import ACCOUNT_TRIE, decode_account, ordered_root
from cybermiles.state.trie import slot_key as hashed_slot
from cybermiles.state.walk import leaves
from cybermiles.storage.schema import ACCOUNT, FLAT, encode_height, slot_range
from cybermiles.storage.schema import decode_account as decode_flat_account
from cybermiles.storage.tx_index import TransactionLocation
from cybermiles.storage.validator_store import AHEAD
from cybermiles.types.primitives import EMPTY_TRIE_ROOT, Address, Hash32
from cybermiles.types.rlp import encode_int

if TYPE_CHECKING:
    from cybermiles.storage.chain_store import Head
    from cybermiles.storage.database import Database
    from cybermiles.types.account import Account
    from cybermiles.types.block import Block
    from cybermiles.types.header import Header

HEADERS_CHECKED = 100
"""Headers whose hashes are followed at start."""

_ADVICE = "the store is damaged: restore the data directory from a snapshot, or move it away and sync again"


class StateTotals(NamedTuple):
    """What `verify_state` found, all of it right."""

    accounts: int
    words: int
    balance: int
    """Sum of all balances in wei."""


def check_genesis(database: Database, genesis_hash: Hash32) -> None:
    """Make sure that a store that is not empty belongs to the chain that starts with this block 0.

    Raises ConfigError when it belongs to another chain.
    """
    stored = database.chain.genesis_hash
    if stored is not None and stored != genesis_hash:
        raise ConfigError(
            f"the data directory holds a chain with genesis {stored.hex()}, the genesis file gives "
            f"{genesis_hash.hex()}: use the genesis file of that chain or another data directory"
        )


def check_store(database: Database) -> Head | None:
    """Check that the head is complete and consistent; return it, None for an empty store.

    Raises StorageError that says what is wrong and what to do.
    """
    head = database.chain.head
    if head is None:
        return None
    try:
        header = _check_head(database, head)
        block = _check_block(database, header) if head.height else None
        _check_validators(database, head.height, block)
        _check_headers(database, header)
    except DecodingError as error:
        raise StorageError(f"head block {head.height} does not decode: {error} ({_ADVICE})") from error
    return head


def verify_state(database: Database) -> StateTotals:
    """Walk the head's whole state and compare trie and flat state; return what there is.

    Raises StorageError at the first difference, missing or damaged node.
    """
    head = database.chain.head
    if head is None:
        return StateTotals(0, 0, 0)
    count = words = balance = 0
    flat = {
        keccak256(key[1:]): (Address(key[1:]), decode_flat_account(value))
        for key, value in database.store.iterate(ACCOUNT, ACCOUNT + b"\xff" * 21)
    }
    for key, value in leaves(database.nodes, ACCOUNT_TRIE, head.state_root):
        if key not in flat:
            raise _damaged(f"the flat state lacks an account of the trie, key {key.hex()}")
        address, account = flat[key]
        if account != decode_account(value):
            raise _damaged(f"account {address.hex()} differs between trie and flat state")
        count += 1
        balance += account.balance
        words += _verify_storage(database, address, account)
    if count != len(flat):
        raise _damaged(f"the flat state has {len(flat)} accounts, the trie {count}")
    supply = database.chain.supply.total
    if balance != supply:
        raise _damaged(f"all balances together are {balance} wei, the supply record says {supply}")
    return StateTotals(count, words, balance)


def _verify_storage(database: Database, address: Address, account: Account) -> int:
    """Compare one account's storage; return the number of its words."""
    trie = dict(leaves(database.nodes, address, account.storage_root))
    flat = {
        hashed_slot(int.from_bytes(key[21:])): encode_int(int.from_bytes(value))
        for key, value in database.store.iterate(*slot_range(address))
    }
    if trie != flat:
        raise _damaged(f"storage of {address.hex()} differs between trie and flat state")
    database.codes.code(account.code_hash)
    return len(trie)


def _check_head(database: Database, head: Head) -> Header:
    header = database.blocks.header(head.height)
    if header is None:
        raise _damaged(f"the header of head block {head.height} is missing")
    if header.hash != head.block_hash:
        raise _damaged(f"head block {head.height} has hash {header.hash.hex()}, not {head.block_hash.hex()}")
    if database.blocks.height_of(head.block_hash) != head.height:
        raise _damaged(f"head block {head.height} is not indexed by its hash")
    if header.state_root != head.state_root:
        raise _damaged(f"head block {head.height} commits to another state than the head record")
    if database.store.get(FLAT) != encode_height(head.height) + head.state_root:
        raise _damaged(f"the flat state is not that of head block {head.height}")
    if head.state_root != EMPTY_TRIE_ROOT:
        database.nodes.node(ACCOUNT_TRIE, head.state_root)
    return header


def _check_block(database: Database, header: Header) -> Block:
    height = header.height
    block = database.blocks.block(height)
    outcomes = database.receipts.outcomes(height)
    commit = database.blocks.commit(height)
    if block is None or outcomes is None or commit is None:
        raise _damaged(f"block, receipts or commit of head block {height} are missing")
    if block.hash != header.hash or block.consensus.commitment != header.extra_data:
        raise _damaged(f"the body of head block {height} is another block's")
    if (commit.height, commit.block_hash) != (height, header.hash):
        raise _damaged(f"the commit of head block {height} is for another block")
    if ordered_root([tx.raw for tx in block.transactions]) != header.transactions_root:
        raise _damaged(f"the transactions of head block {height} do not have the header's root")
    receipts = [stored.outcome.receipt.encode() for stored in outcomes]
    if ordered_root(receipts) != header.receipts_root:
        raise _damaged(f"the receipts of head block {height} do not have the header's root")
    for index, transaction in enumerate(block.transactions):
        if database.transactions.find(transaction.hash) != TransactionLocation(height, index):
            raise _damaged(f"transaction {transaction.hash.hex()} of head block {height} is not indexed")
    for raw in block.consensus.evidence:
        if database.evidence.committed_at(Hash32(keccak256(raw))) != height:
            raise _damaged(f"evidence in head block {height} is not indexed")
    return block


def _check_validators(database: Database, height: int, block: Block | None) -> None:
    """Check that the two settled heights are there, and that sets, rotations and the head block agree."""
    stored = database.validators
    if stored.newest != height + AHEAD:
        raise _damaged(f"validators are known up to height {stored.newest}, not {height + AHEAD}")
    for settled in (height + 1, height + AHEAD):
        if stored.rotation(settled).validators != stored.validators(settled):
            raise _damaged(f"the rotation of height {settled} is of other validators than the set")
    if block is None:
        return
    hashes = [members.hash for at in (height, height + 1) if (members := stored.validators(at)) is not None]
    if hashes != [block.consensus.validators_hash, block.consensus.next_validators_hash]:
        raise _damaged(f"head block {height} names other validators than are stored")


def _check_headers(database: Database, header: Header) -> None:
    lowest = max(0, header.height - HEADERS_CHECKED)
    while header.height > lowest:
        parent = database.blocks.header(header.height - 1)
        if parent is None:
            raise _damaged(f"header {header.height - 1} is missing")
        if parent.hash != header.parent_hash or parent.height != header.height - 1:
            raise _damaged(f"header {parent.height} is not the parent of header {header.height}")
        header = parent
    if header.height == 0 and header.hash != database.chain.genesis_hash:
        raise _damaged("the chain of headers does not end at the recorded genesis block")


def _damaged(what: str) -> StorageError:
    return StorageError(f"{what} ({_ADVICE})")
