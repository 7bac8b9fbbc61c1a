"""Transactions found without an index: by walking blocks within a bound, and by bisecting the states that are kept.

An account's nonce and a contract's code say before which block something happened, so where states are kept a search
takes a few reads. What is older is looked for block by block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cybermiles.errors import InvariantViolation
from cybermiles.rpc.jsonrpc import LIMIT_EXCEEDED, SERVER_ERROR, RpcError
from cybermiles.rpc.ports import StateUnavailable
from cybermiles.types.primitives import EMPTY_CODE_HASH
from cybermiles.types.transaction import recover_senders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cybermiles.rpc.ports import ChainReader
    from cybermiles.types.primitives import Address, Hash32


class Budget:
    """How many blocks and transactions a search may still look at."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._left = limit

    @property
    def is_used_up(self) -> bool:
        """Whether nothing is left."""
        return self._left <= 0

    def take(self, items: int) -> None:
        """Count what was looked at."""
        self._left -= items

    def refusal(self, height: int) -> RpcError:
        """Return the error for a search that came as far as `height`, which it did not look at, and found nothing."""
        return RpcError(
            LIMIT_EXCEEDED,
            f"nothing found in {self._limit} blocks and transactions (rpc.explorer_scan_max); block {height} is the "
            "next to be searched: ask again from there",
        )


class Page(NamedTuple):
    """What a search by address found, oldest first."""

    found: list[tuple[int, list[int]]]
    """Heights with the indices of their transactions."""
    is_complete: bool
    """Whether it came to the end of the chain in its direction."""


def touching(chain: ChainReader, address: Address, heights: range, page_size: int, limit: int) -> Page:
    """Return the transactions from, to, or creating `address`, whole blocks at a time until the page is full.

    Raises RpcError where the bound is met before the first is found.
    """
    budget = Budget(limit)
    found: list[tuple[int, list[int]]] = []
    count = 0
    for height in heights:
        if count >= page_size or budget.is_used_up:
            if not found:
                raise budget.refusal(height)
            return Page(_sorted(found), is_complete=False)
        if chain.header(height) is None:
            if not found:
                raise RpcError(SERVER_ERROR, f"block {height} is not stored: this node began with a snapshot")
            return Page(_sorted(found), is_complete=False)
        indices = [index for index, parties in enumerate(_parties(chain, height, budget)) if address in parties]
        if indices:
            found.append((height, indices))
            count += len(indices)
    return Page(_sorted(found), is_complete=True)


def _sorted(found: list[tuple[int, list[int]]]) -> list[tuple[int, list[int]]]:
    return sorted(found)


def _parties(chain: ChainReader, height: int, budget: Budget) -> Iterator[tuple[Address | None, ...]]:
    """Yield (sender, recipient, created contract) of each transaction of a block."""
    budget.take(1)
    header = chain.header(height)
    block = None if header is None or not header.gas_used else chain.block(height)
    if block is None:
        return
    budget.take(len(block.transactions))
    recover_senders(block.transactions)
    for transaction, outcome in zip(block.transactions, chain.outcomes(height), strict=True):
        yield transaction.sender, transaction.to, outcome.contract_address


def hash_of_nonce(chain: ChainReader, sender: Address, nonce: int, limit: int) -> Hash32 | None:
    """Return the hash of the transaction that used an account's nonce, None where none did.

    Raises RpcError where it is older than the states that are kept and the bound is met before it is found.
    """
    head = chain.head_height()

    def is_used(height: int) -> bool:
        account = chain.state(height).account(sender)
        return account is not None and account.nonce > nonce

    if not is_used(head):
        return None
    oldest = _oldest_state(chain)
    if is_used(oldest):
        return _by_nonce(chain, sender, nonce, range(oldest, 0, -1), Budget(limit))
    height = _first(oldest, head, is_used)
    return _by_nonce(chain, sender, nonce, range(height, height - 1, -1), Budget(limit))


def _by_nonce(chain: ChainReader, sender: Address, nonce: int, heights: range, budget: Budget) -> Hash32 | None:
    """Look for a transaction in some blocks. None: an EIP-7702 authorization used the nonce, or a contract did."""
    for height in heights:
        if budget.is_used_up:
            raise budget.refusal(height)
        if chain.header(height) is None:
            raise RpcError(SERVER_ERROR, f"block {height} is not stored: this node began with a snapshot")
        for index, parties in enumerate(_parties(chain, height, budget)):
            block = chain.block(height)
            if block is None:
                raise InvariantViolation(f"block {height} is not there any more")
            if parties[0] == sender and block.transactions[index].nonce == nonce:
                return block.transactions[index].hash
    return None


def creation_height(chain: ChainReader, address: Address) -> int | None:
    """Return the block in which an account that has code now got it, None where it has none.

    0 for a contract of the genesis document. Raises StateUnavailable where that is older than the states that are kept.
    """
    head = chain.head_height()

    def has_code(height: int) -> bool:
        account = chain.state(height).account(address)
        return account is not None and account.code_hash != EMPTY_CODE_HASH

    if not has_code(head):
        return None
    oldest = _oldest_state(chain)
    if not has_code(oldest):
        return _first(oldest, head, has_code)
    if oldest > 0:
        raise StateUnavailable(f"missing trie node: the contract is older than block {oldest}, the oldest state here")
    return 0


def _oldest_state(chain: ChainReader) -> int:
    def is_there(height: int) -> bool:
        try:
            chain.state(height)
        except StateUnavailable:
            return False
        return True

    head = chain.head_height()
    return 0 if is_there(0) else _first(0, head, is_there)


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """Return the least height above `low`, where it does not hold, from which on it holds up to `high`."""
    while low + 1 < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high
