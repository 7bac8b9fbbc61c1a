"""Block 0: the genesis document's accounts as world state, and the header that commits to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.staking.founding import found, founding_state
from cybermiles.state.reader import NoState
from cybermiles.state.trie import update_root
from cybermiles.state.world import WorldState
from cybermiles.types.header import Header
from cybermiles.types.primitives import EMPTY_TRIE_ROOT, ZERO_ADDRESS, ZERO_HASH
from cybermiles.types.receipt import EMPTY_BLOOM
from cybermiles.vesting.grants import found as found_grants

if TYPE_CHECKING:
    from cybermiles.chain.genesis import GenesisDocument
    from cybermiles.state.reader import RootUpdate, StateChanges
    from cybermiles.types.validator import ValidatorSet


@dataclass(frozen=True, slots=True)
class GenesisBlock:
    """Everything that the first write to an empty store consists of."""

    header: Header
    changes: StateChanges
    root_update: RootUpdate
    validators: ValidatorSet | None
    """Who decides block 1; None in a template, from which no chain starts."""


def genesis_block(document: GenesisDocument) -> GenesisBlock:
    """Return block 0 of the chain that `document` describes.

    Its extra data is the document's hash, so the block hash commits to parameters and validators as well
    as to the state.
    """
    empty = NoState()
    world = WorldState(empty)
    world.begin_transaction()
    for address, account in document.accounts().items():
        world.set_balance(address, account.balance)
        world.set_nonce(address, account.nonce)
        if account.code:
            world.set_code(address, account.code)
    found(founding_state(world, document), document)
    found_grants(world, document.vesting)
    world.end_transaction()
    changes = world.changes()
    update = update_root(empty, empty, EMPTY_TRIE_ROOT, changes)
    header = Header(
        parent_hash=ZERO_HASH,
        coinbase=ZERO_ADDRESS,
        state_root=update.root,
        transactions_root=EMPTY_TRIE_ROOT,
        receipts_root=EMPTY_TRIE_ROOT,
        logs_bloom=EMPTY_BLOOM,
        height=0,
        gas_limit=document.params.block_gas_limit,
        gas_used=0,
        timestamp=document.timestamp,
        extra_data=document.hash,
        prev_randao=ZERO_HASH,
    )
    return GenesisBlock(header, changes, update, document.validator_set if document.validators else None)
