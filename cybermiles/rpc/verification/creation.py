"""Finds the transaction that created a contract, without an index: the first stored state that has its code.

A search by halves over heights; where the states around the creation are pruned, or another contract created it, the
transaction is not known and the constructor's arguments cannot be checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cybermiles.rpc.pacing import Turn
from cybermiles.rpc.ports import StateUnavailable
from cybermiles.types.primitives import EMPTY_CODE_HASH

if TYPE_CHECKING:
    from cybermiles.rpc.ports import ChainReader
    from cybermiles.types.primitives import Address, Hash32


class Creation(NamedTuple):
    """How a contract came to be."""

    height: int
    tx_hash: Hash32
    creator: Address
    data: bytes
    """Creation code and the constructor's arguments."""


def code_at(chain: ChainReader, address: Address, height: int) -> bytes:
    """Return an account's code, b"" where it has none. Raises StateUnavailable."""
    state = chain.state(height)
    account = state.account(address)
    return b"" if account is None or account.code_hash == EMPTY_CODE_HASH else state.code(account.code_hash)


async def find_creation(chain: ChainReader, address: Address) -> Creation | None:
    """Return how a contract that exists now came to be, None where that cannot be told.

    Gives way: a block may hold thousands of outcomes.
    """
    turn = Turn()
    before, after = 0, chain.head_height()
    while after - before > 1:
        middle = (before + after) // 2
        if _has_code(chain, address, middle):
            after = middle
        else:
            before = middle
        await turn.share()
    for index in range(chain.transaction_count(after)):
        placed = chain.outcome(after, index)
        if placed is not None and placed.outcome.contract_address == address:
            transaction = chain.transaction(after, index)
            if transaction is not None:
                return Creation(after, transaction.hash, transaction.sender, transaction.data)
        await turn.share()
    return None


def _has_code(chain: ChainReader, address: Address, height: int) -> bool:
    """Whether the account has code in a state that is stored; one that is pruned lies before what can be told."""
    try:
        account = chain.state(height).account(address)
    except StateUnavailable:
        return False
    return account is not None and account.code_hash != EMPTY_CODE_HASH
