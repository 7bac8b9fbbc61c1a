"""Blocks with right roots and made-up contents: what a store sees, without an EVM."""

from __future__ import annotations

from functools import lru_cache

from cybermiles.chain.fees import Lane
from cybermiles.chain.params import ChainParams
from cybermiles.crypto.hashing import keccak256
from cybermiles.execution.genesis import GenesisBlock
from cybermiles.execution.outcome import BlockOutcome, TransactionOutcome
from cybermiles.state.reader import NoState
from cybermiles.state.trie import ordered_root, update_root
from cybermiles.state.world import WorldState
from cybermiles.storage.database import Database
from cybermiles.types.block import Block, ConsensusData
from cybermiles.types.commit import EMPTY_COMMIT, Commit
from cybermiles.types.header import Header
from cybermiles.types.primitives import EMPTY_TRIE_ROOT, ZERO_ADDRESS, ZERO_HASH, Address, Hash32, Wei
from cybermiles.types.receipt import EMPTY_BLOOM, Log, Receipt, logs_bloom
from cybermiles.types.transaction_codec import UnsignedTransaction
from cybermiles.types.validator import Validator, ValidatorSet

ADDRESSES = [Address(keccak256(bytes([index]))[:20]) for index in range(40)]
KEY = (1).to_bytes(32)
VALIDATORS = ValidatorSet((Validator(bytes([1]) * 32, ADDRESSES[0], 9), Validator(bytes([2]) * 32, ADDRESSES[1], 1)))


@lru_cache(maxsize=10_000)
def transaction(nonce):
    """Return a signed transfer; the nonce makes it unique."""
    return UnsignedTransaction(
        chain_id=1,
        nonce=nonce,
        max_fee_per_gas=0,
        max_priority_fee_per_gas=0,
        gas_limit=21_000,
        to=ADDRESSES[0],
        value=nonce,
    ).sign(KEY)


def perform(world, actions):
    """Change the world: (kind, account number, slot, value) each."""
    for kind, number, slot, value in actions:
        address = ADDRESSES[number]
        world.begin_transaction()
        if kind == "balance":
            world.set_balance(address, value)
        elif kind == "store":
            if not world.nonce(address):
                world.set_nonce(address, 1)
            world.set_storage(address, slot, value)
        elif kind == "code":
            world.set_code(address, bytes([value % 251]) * 3)
        else:
            world.delete_account(address)
        world.end_transaction()


def genesis(actions=()):
    """Return block 0 with the state that the actions make."""
    empty = NoState()
    world = WorldState(empty)
    perform(world, actions)
    changes = world.changes()
    update = update_root(empty, empty, EMPTY_TRIE_ROOT, changes)
    header = header_of(height=0, parent_hash=ZERO_HASH, state_root=update.root, timestamp=1)
    return GenesisBlock(header, changes, update, VALIDATORS)


def header_of(**fields):
    """Return a header of which only what matters is given."""
    defaults = {
        "coinbase": ZERO_ADDRESS,
        "transactions_root": EMPTY_TRIE_ROOT,
        "receipts_root": EMPTY_TRIE_ROOT,
        "logs_bloom": EMPTY_BLOOM,
        "gas_limit": 1,
        "gas_used": 0,
        "extra_data": ZERO_HASH,
        "prev_randao": ZERO_HASH,
    }
    return Header(**(defaults | fields))


def outcome_of(index, logs=()):
    """Return a transaction's outcome that differs with its index in every field."""
    logs = tuple(logs)
    failed = index % 3 == 2
    return TransactionOutcome(
        receipt=Receipt(2, not failed, 21_000 * (index + 1), logs, logs_bloom(logs)),
        gas_used=21_000 + index,
        effective_gas_price=Wei(index * 10**9),
        lane=Lane(index % 3),
        compute_units=index,
        contract_address=ADDRESSES[index % 40] if index % 2 else None,
        failure="execution reverted" if failed else None,
        output=b"\x08" * index if failed else b"",
    )


def log(number, *topics, data=b""):
    """Return a log of one of the test accounts."""
    return Log(ADDRESSES[number], tuple(Hash32(keccak256(topic)) for topic in topics), data)


def next_block(database: Database, actions=(), logs=(), *, evidence=(), elected=None):
    """Return (block, outcome, commit) on top of the head; one transaction for each entry of logs."""
    head = database.chain.head
    reader = database.state.reader()
    world = WorldState(reader)
    perform(world, actions)
    changes = world.changes()
    update = update_root(database.nodes, reader, head.state_root, changes)
    created = _difference(reader, update) + world.burnt
    outcomes = tuple(outcome_of(index, entry) for index, entry in enumerate(logs))
    transactions = tuple(transaction(head.height * 1000 + index) for index in range(len(outcomes)))
    commit = database.blocks.commit(head.height)
    voters = database.validators.validators(head.height + 1)
    consensus = ConsensusData(
        proposer=bytes(20),
        validators_hash=voters.hash,
        next_validators_hash=database.validators.validators(head.height + 2).hash,
        last_commit=commit or EMPTY_COMMIT,
        evidence=tuple(evidence),
        parameters_hash=ZERO_HASH,
        app_version=1,
    )
    bloom = 0
    for outcome in outcomes:
        bloom |= int.from_bytes(outcome.receipt.bloom)
    header = header_of(
        height=head.height + 1,
        parent_hash=head.block_hash,
        state_root=update.root,
        transactions_root=ordered_root([tx.raw for tx in transactions]),
        receipts_root=ordered_root([outcome.receipt.encode() for outcome in outcomes]),
        logs_bloom=bloom.to_bytes(256),
        timestamp=head.height + 2,
        extra_data=consensus.commitment,
    )
    block_outcome = BlockOutcome(
        header=header,
        transactions=outcomes,
        changes=changes,
        root_update=update,
        minted=Wei(max(created, 0)),
        fees=Wei(0),
        burnt=Wei(world.burnt + max(-created, 0)),
        free_gas=0,
        compute_units=0,
        next_params=ChainParams(),
        validator_updates=elected,
    )
    return (
        Block(header, transactions, consensus),
        block_outcome,
        Commit(header.height, 0, header.hash, tuple(_signatures(voters))),
    )


def append(database: Database, actions=(), logs=(), **more):
    """Make the next block and commit it; return (block, outcome, commit)."""
    made = next_block(database, actions, logs, **more)
    database.commit(*made)
    return made


def _difference(reader, update):
    """Return by how much the sum of all balances grows."""
    total = 0
    for address, account in update.accounts.items():
        old = reader.account(address)
        total += (account.balance if account else 0) - (old.balance if old else 0)
    return total


def _signatures(voters):
    """Signatures of the first members up to a quorum."""
    power = 0
    for member in voters.validators:
        yield None if voters.has_quorum(power) else b"\1" * 64
        power += member.power
