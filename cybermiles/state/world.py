"""The mutable world state that one block (or one call) executes on.

Everything the EVM reads or writes goes through `WorldState`, so each method is one or two dictionary operations. What
was not touched yet is read from the parent's `StateReader` once.

Undo is one list. Every change to a mapping first appends (mapping, key, value before); taking changes back is popping
the list and putting the values back, whatever they are: account, slot, warm mark, burnt counter. A snapshot is a
length of that list.

    begin_transaction ─► snapshot … revert ─► end_transaction ─► [undo_transaction] ─► begin …
       list emptied       nested call frames   empty accounts     all of it or
                                               dropped            nothing

A snapshot is good until the next transaction begins. One thread owns a world. `changes()` is the net difference from
the parent, for the trie and the flat state.

An account with nonce 0, balance 0 and no code is dropped at the end of the transaction that touched it (EIP-161);
writing such an account into being does nothing until something makes it non-empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import InvariantViolation
from cybermiles.state.parent import ABSENT, BlankSlots, ParentAccounts, ParentSlots, ParentStorage
from cybermiles.state.reader import StateChanges
from cybermiles.types.primitives import EMPTY_CODE_HASH, Hash32

if TYPE_CHECKING:
    from collections.abc import Container

    from cybermiles.state.parent import AccountFields, Slots
    from cybermiles.state.reader import StateReader
    from cybermiles.types.primitives import Address
    from cybermiles.types.transaction import AccessList

_BURNT = "burnt"

_Undo = tuple[dict[Any, Any], object, object]
"""(mapping, key, value before; None: no entry). Any: what is put back came from that mapping."""


class WorldState:
    """State of the parent block plus the changes made so far."""

    __slots__ = (
        "_accounts",
        "_codes",
        "_counters",
        "_created",
        "_deleted",
        "_ended",
        "_open",
        "_originals",
        "_reader",
        "_slots",
        "_touched",
        "_transient",
        "_undo",
        "_warm",
        "_warm_slots",
    )

    def __init__(self, reader: StateReader) -> None:
        self._reader = reader
        self._accounts = ParentAccounts(reader)
        self._slots = ParentStorage(reader, self._accounts)
        self._codes: dict[Hash32, bytes] = {EMPTY_CODE_HASH: b""}
        self._counters: dict[str, int] = {_BURNT: 0}
        self._undo: list[_Undo] = []
        self._open = False
        self._ended = False
        self._originals: dict[Address, dict[int, int]] = {}
        self._deleted: dict[Address, Slots] = {}
        self._touched: dict[Address, bool] = {}
        self._created: dict[Address, bool] = {}
        self._warm: dict[Address, bool] = {}
        self._warm_slots: dict[Address, dict[int, bool]] = {}
        self._transient: dict[tuple[Address, int], int] = {}

    # Accounts

    def balance(self, address: Address) -> int:
        """Return the balance in wei, 0 for an absent account."""
        return self._accounts[address][1]

    def nonce(self, address: Address) -> int:
        """Return the nonce, 0 for an absent account."""
        return self._accounts[address][0]

    def code_hash(self, address: Address) -> Hash32:
        """Return the code's hash; an absent account answers like one without code."""
        return self._accounts[address][2]

    def code(self, address: Address) -> bytes:
        """Return the account's code, b"" without one. Raises StorageError when it is missing."""
        code_hash = self._accounts[address][2]
        try:
            return self._codes[code_hash]
        except KeyError:
            code = self._codes[code_hash] = self._reader.code(code_hash)
            return code

    def exists(self, address: Address) -> bool:
        """Tell whether the account has an entry in the state, empty or not."""
        return self._accounts[address] is not ABSENT

    def is_empty(self, address: Address) -> bool:
        """Tell whether the account is absent or dead in the sense of EIP-161."""
        return self._accounts[address] == ABSENT

    def has_storage(self, address: Address) -> bool:
        """Tell whether the account has any storage, for EIP-7610's collision check.

        An account that had storage in the parent counts as having some until it is deleted.
        """
        slots = self._slots[address]
        return type(slots) is ParentSlots or any(slots.values())

    def set_balance(self, address: Address, balance: int) -> None:
        """Set the balance to `balance` wei."""
        nonce, _, code_hash = self._accounts[address]
        self._write(address, (nonce, balance, code_hash))

    def add_balance(self, address: Address, amount: int) -> None:
        """Credit `amount` wei; crediting 0 touches the account."""
        old = self._accounts[address]
        if amount <= 0:
            if amount < 0:
                raise InvariantViolation(f"credit of {amount} wei to {address.hex()}")
            self.touch(address)
            return
        self._undo.append((self._accounts, address, old))
        self._accounts[address] = (old[0], old[1] + amount, old[2])

    def subtract_balance(self, address: Address, amount: int) -> None:
        """Debit `amount` wei. Raises InvariantViolation when the balance does not cover it."""
        nonce, balance, code_hash = self._accounts[address]
        if not 0 <= amount <= balance:
            raise InvariantViolation(f"debit of {amount} wei from {address.hex()}, which has {balance}")
        self._write(address, (nonce, balance - amount, code_hash))

    def burn(self, address: Address, amount: int) -> None:
        """Destroy `amount` wei of the account's balance and count it."""
        self.subtract_balance(address, amount)
        burnt = self._counters[_BURNT]
        self._undo.append((self._counters, _BURNT, burnt))
        self._counters[_BURNT] = burnt + amount

    def set_nonce(self, address: Address, nonce: int) -> None:
        """Set the nonce."""
        _, balance, code_hash = self._accounts[address]
        self._write(address, (nonce, balance, code_hash))

    def increment_nonce(self, address: Address) -> None:
        """Add 1 to the nonce."""
        old = self._accounts[address]
        self._undo.append((self._accounts, address, old))
        self._accounts[address] = (old[0] + 1, old[1], old[2])

    def set_code(self, address: Address, code: bytes) -> None:
        """Set the code; b"" removes it."""
        code_hash = Hash32(keccak256(code))
        self._codes[code_hash] = code
        nonce, balance, _ = self._accounts[address]
        self._write(address, (nonce, balance, code_hash))

    def touch(self, address: Address) -> None:
        """Mark the account so that it is dropped at the end of the transaction if it is empty."""
        fields = self._accounts[address]
        if fields == ABSENT and fields is not ABSENT and address not in self._touched:
            self._undo.append((self._touched, address, None))
            self._touched[address] = True

    def delete_account(self, address: Address) -> None:
        """Remove the account with code and storage; a balance left in it counts as burnt."""
        fields = self._accounts[address]
        if fields is ABSENT:
            return
        undo = self._undo
        if fields[1]:
            burnt = self._counters[_BURNT]
            undo.append((self._counters, _BURNT, burnt))
            self._counters[_BURNT] = burnt + fields[1]
        slots = self._slots[address]
        self._deleted.setdefault(address, slots)
        undo.append((self._slots, address, slots))
        self._slots[address] = BlankSlots()
        undo.append((self._accounts, address, fields))
        self._accounts[address] = ABSENT

    # Storage

    def storage(self, address: Address, slot: int) -> int:
        """Return the word at `slot`, 0 where none is stored."""
        return self._slots[address][slot]

    def slots(self, address: Address) -> Slots:
        """Return the account's words by slot, 0 where none is stored. To look up, until the transaction ends."""
        return self._slots[address]

    def original_storage(self, address: Address, slot: int) -> int:
        """Return the word at `slot` as it was when the current transaction began (EIP-2200)."""
        written = self._originals.get(address)
        if written is not None and slot in written:
            return written[slot]
        if address in self._deleted:
            return self._deleted[address][slot]
        return self._slots[address][slot]

    def set_storage(self, address: Address, slot: int, value: int) -> None:
        """Store a word; 0 deletes it."""
        slots = self._slots[address]
        old = slots[slot]
        if old == value:
            return
        if self._accounts[address] is ABSENT:
            self._materialise(address)
        originals = self._originals.get(address)
        if originals is None:
            originals = self._originals[address] = {}
        if slot not in originals:
            originals[slot] = self.original_storage(address, slot) if self._deleted else old
        self._undo.append((slots, slot, old))
        slots[slot] = value

    def transient(self, address: Address, slot: int) -> int:
        """Return the transaction's transient word at `slot` (EIP-1153)."""
        return self._transient.get((address, slot), 0)

    def set_transient(self, address: Address, slot: int, value: int) -> None:
        """Store a transient word, forgotten at the end of the transaction."""
        key = (address, slot)
        self._undo.append((self._transient, key, self._transient.get(key)))
        self._transient[key] = value

    # Marks of the current transaction

    def mark_created(self, address: Address) -> None:
        """Remember that the current transaction created this contract (EIP-6780)."""
        if address not in self._created:
            self._undo.append((self._created, address, None))
            self._created[address] = True

    def was_created(self, address: Address) -> bool:
        """Tell whether the current transaction created this contract."""
        return address in self._created

    def is_warm(self, address: Address) -> bool:
        """Tell whether the current transaction accessed the account before (EIP-2929)."""
        return address in self._warm

    def warm(self, address: Address) -> None:
        """Mark the account as accessed."""
        if address not in self._warm:
            self._undo.append((self._warm, address, None))
            self._warm[address] = True

    def is_warm_slot(self, address: Address, slot: int) -> bool:
        """Tell whether the current transaction accessed the slot before (EIP-2929)."""
        return slot in self.warm_slots(address)

    def warm_slots(self, address: Address) -> dict[int, bool]:
        """Return the account's accessed slots, to look up in: `warm_slot` adds to them."""
        return self._warm_slots.setdefault(address, {})

    def warm_slot(self, address: Address, slot: int) -> None:
        """Mark the slot as accessed."""
        slots = self.warm_slots(address)
        if slot not in slots:
            self._undo.append((slots, slot, None))
            slots[slot] = True

    def accessed(self, left_out: Container[Address]) -> AccessList:
        """Return what the current transaction warmed: addresses with their slots, in address order.

        An address in `left_out` is listed only where a slot of it was accessed.
        """
        slots: dict[Address, list[int]] = {a: [] for a in self._warm if a not in left_out}
        slots |= {address: sorted(warm) for address, warm in self._warm_slots.items() if warm}
        return tuple((address, tuple(slots[address])) for address in sorted(slots))

    def written_accounts(self) -> dict[Address, AccountFields]:
        """Return what each account was that the current transaction wrote and did not take back."""
        before: dict[Address, AccountFields] = {}
        for mapping, key, value in self._undo:
            if mapping is self._accounts:
                before.setdefault(key, value)  # type: ignore[arg-type]  # the mapping's own keys and values
        return before

    def written_slots(self) -> dict[Address, dict[int, int]]:
        """Return the words before the current transaction of each slot that it wrote, taken back or not."""
        return {address: dict(slots) for address, slots in self._originals.items()}

    # Going back

    def snapshot(self) -> int:
        """Return a mark to `revert` to."""
        return len(self._undo)

    def revert(self, snapshot: int) -> None:
        """Undo everything since the snapshot, marks and transient words included."""
        undo = self._undo
        while len(undo) > snapshot:
            mapping, key, value = undo.pop()
            if value is None:
                mapping.pop(key, None)
            else:
                mapping[key] = value

    def begin_transaction(self) -> None:
        """Start a transaction. Raises InvariantViolation inside another one."""
        if self._open:
            raise InvariantViolation("a transaction began inside another one")
        self._open = True
        self._ended = False
        self._undo.clear()
        self._forget_marks()

    def end_transaction(self) -> None:
        """Finish the transaction: drop touched empty accounts and forget all marks of it."""
        if not self._open:
            raise InvariantViolation("no transaction to end")
        for address in self._touched:
            if self._accounts[address] == ABSENT:
                self.delete_account(address)
        self._open = False
        self._ended = True
        self._forget_marks()

    def undo_transaction(self) -> None:
        """Restore the state before `begin_transaction`, right after `end_transaction`."""
        if not self._ended:
            raise InvariantViolation("only a transaction that just ended can be undone")
        self._ended = False
        self.revert(0)
        self._forget_marks()

    # Results

    @property
    def burnt(self) -> int:
        """Wei destroyed by deleting accounts that had a balance."""
        return self._counters[_BURNT]

    def changes(self) -> StateChanges:
        """Return the net difference from the parent's state."""
        changes = StateChanges()
        for address, fields in self._accounts.items():
            self._add_account_change(changes, address, fields)
        for address, slots in self._slots.items():
            if type(slots) is ParentSlots:
                parents = slots.parents
                changed = {slot: word for slot, word in slots.items() if word != parents[slot]}
            else:
                changed = {slot: word for slot, word in slots.items() if word}
                if self._accounts.had_storage(address):
                    changes.wiped[address] = None
            if changed:
                changes.storage[address] = changed
        return changes

    def _add_account_change(self, changes: StateChanges, address: Address, fields: AccountFields) -> None:
        parent = self._accounts.parents[address]
        if fields is ABSENT:
            if parent is not None:
                changes.accounts[address] = None
            return
        known_code = EMPTY_CODE_HASH if parent is None else parent.code_hash
        if parent is None or fields != (parent.nonce, parent.balance, known_code):
            changes.accounts[address] = fields
        if fields[2] not in (known_code, EMPTY_CODE_HASH):
            changes.codes[fields[2]] = self._codes[fields[2]]

    def _write(self, address: Address, fields: AccountFields) -> None:
        old = self._accounts[address]
        if fields == old:
            self.touch(address)
            return
        self._undo.append((self._accounts, address, old))
        self._accounts[address] = fields
        if fields == ABSENT:
            self.touch(address)

    def _materialise(self, address: Address) -> None:
        """Give an absent account an empty entry, so that its storage has an owner until the end."""
        self._undo.append((self._accounts, address, ABSENT))
        self._accounts[address] = (0, 0, EMPTY_CODE_HASH)
        self.touch(address)

    def _forget_marks(self) -> None:
        self._originals.clear()
        self._deleted.clear()
        self._touched.clear()
        self._created.clear()
        self._warm.clear()
        self._warm_slots.clear()
        self._transient.clear()
