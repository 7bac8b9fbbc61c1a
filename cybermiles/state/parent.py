"""The parent's state as dictionaries that fill themselves on first use.

`WorldState` indexes these like plain dictionaries; a miss loads from the `StateReader` once. What
was loaded is also remembered unchanged, so that the net effect of a block is a comparison and needs
no second read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.types.primitives import EMPTY_CODE_HASH, EMPTY_TRIE_ROOT, Address, Hash32

if TYPE_CHECKING:
    from cybermiles.state.reader import StateReader
    from cybermiles.types.account import Account

AccountFields = tuple[int, int, Hash32]
"""(nonce, balance in wei, code hash): what execution changes of an account."""

ABSENT: AccountFields = (0, 0, EMPTY_CODE_HASH)
"""An account that does not exist. Compare by identity: an existing empty account is equal to it."""


class ParentAccounts(dict[Address, AccountFields]):
    """Accounts by address, `ABSENT` where there is none."""

    __slots__ = ("_reader", "parents")

    def __init__(self, reader: StateReader) -> None:
        super().__init__()
        self._reader = reader
        self.parents: dict[Address, Account | None] = {}
        """Every account loaded so far, as the parent has it."""

    def __missing__(self, address: Address) -> AccountFields:
        account = self._reader.account(address)
        self.parents[address] = account
        fields = ABSENT if account is None else (account.nonce, account.balance, account.code_hash)
        self[address] = fields
        return fields

    def had_storage(self, address: Address) -> bool:
        """Tell whether the account has a storage trie in the parent's state."""
        if address not in self.parents:
            self.__missing__(address)
        parent = self.parents[address]
        return parent is not None and parent.storage_root != EMPTY_TRIE_ROOT


class BlankSlots(dict[int, int]):
    """Storage of an account that has none in the parent's state, or lost it: other slots are 0."""

    __slots__ = ()

    def __missing__(self, slot: int) -> int:
        self[slot] = 0
        return 0


class ParentSlots(dict[int, int]):
    """Storage of an account that may have some in the parent's state."""

    __slots__ = ("_address", "_reader", "parents")

    def __init__(self, reader: StateReader, address: Address) -> None:
        super().__init__()
        self._reader = reader
        self._address = address
        self.parents: dict[int, int] = {}
        """Every word loaded so far, as the parent has it."""

    def __missing__(self, slot: int) -> int:
        value = self._reader.storage(self._address, slot)
        self.parents[slot] = value
        self[slot] = value
        return value


Slots = BlankSlots | ParentSlots
"""Storage of one account."""


class ParentStorage(dict[Address, Slots]):
    """Storage by address; accounts without a storage trie never ask the reader for a slot."""

    __slots__ = ("_accounts", "_reader")

    def __init__(self, reader: StateReader, accounts: ParentAccounts) -> None:
        super().__init__()
        self._reader = reader
        self._accounts = accounts

    def __missing__(self, address: Address) -> Slots:
        had_storage = self._accounts.had_storage(address)
        slots: Slots = ParentSlots(self._reader, address) if had_storage else BlankSlots()
        self[address] = slots
        return slots
