"""WorldState against a model that copies everything at every snapshot."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cybermiles.crypto.hashing import keccak256
from cybermiles.state.world import WorldState
from cybermiles.types.primitives import Address, Hash32
from tests.fakes.state import MemoryState

ADDRESSES = [Address(bytes([index]) * 20) for index in range(1, 5)]
addresses = st.sampled_from(ADDRESSES)
slots = st.integers(0, 3)
words = st.integers(0, 2)
small = st.integers(0, 2)
codes = st.sampled_from([b"", b"\x60", b"\x61"])


@dataclass
class ModelAccount:
    nonce: int = 0
    balance: int = 0
    code: bytes = b""
    words: dict[int, int] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return (self.nonce, self.balance, self.code) == (0, 0, b"")


@dataclass
class Model:
    accounts: dict[Address, ModelAccount] = field(default_factory=dict)
    burnt: int = 0
    wiped: dict[Address, bool] = field(default_factory=dict)
    """Lost its storage in this block."""
    touched: dict[Address, bool] = field(default_factory=dict)
    warm: dict[object, bool] = field(default_factory=dict)
    created: dict[Address, bool] = field(default_factory=dict)
    transient: dict[object, int] = field(default_factory=dict)

    def write(self, address: Address, **fields: int | bytes) -> None:
        account = self.accounts.get(address, ModelAccount())
        for name, value in fields.items():
            setattr(account, name, value)
        if address in self.accounts or not account.empty:
            self.accounts[address] = account
            self.touched[address] = True

    def word(self, address: Address, slot: int) -> int:
        account = self.accounts.get(address)
        return account.words.get(slot, 0) if account else 0

    def delete(self, address: Address) -> None:
        account = self.accounts.pop(address, None)
        if account:
            self.burnt += account.balance
            self.wiped[address] = True

    def forget_marks(self) -> None:
        for marks in (self.touched, self.warm, self.created, self.transient):
            marks.clear()


class WorldMachine(RuleBasedStateMachine):
    @initialize(
        parent=st.dictionaries(addresses, st.tuples(small, small, codes, st.dictionaries(slots, st.integers(1, 2))))
    )
    def start(self, parent: dict[Address, tuple[int, int, bytes, dict[int, int]]]) -> None:
        reader = MemoryState()
        self.model = Model()
        for address, (nonce, balance, code, stored) in parent.items():
            reader.put(address, nonce=nonce, balance=balance, code=code, words=stored)
            self.model.accounts[address] = ModelAccount(nonce, balance, code, dict(stored))
        self.parent = deepcopy(self.model.accounts)
        self.world = WorldState(reader)
        self.open = False
        self.finished: Model | None = None
        self.snapshots: list[tuple[int, Model]] = []

    in_transaction = precondition(lambda self: self.open)

    @precondition(lambda self: not self.open)
    @rule()
    def begin(self) -> None:
        self.world.begin_transaction()
        self.model.forget_marks()
        self.before = deepcopy(self.model)
        self.open = True
        self.finished = None
        self.snapshots = []

    @in_transaction
    @rule()
    def end(self) -> None:
        self.world.end_transaction()
        for address in self.model.touched:
            if address in self.model.accounts and self.model.accounts[address].empty:
                self.model.delete(address)
        self.model.forget_marks()
        self.open = False
        self.finished = self.before

    @precondition(lambda self: self.finished is not None)
    @rule()
    def undo(self) -> None:
        self.world.undo_transaction()
        self.model, self.finished = self.finished, None

    @in_transaction
    @rule()
    def snapshot(self) -> None:
        self.snapshots.append((self.world.snapshot(), deepcopy(self.model)))

    @precondition(lambda self: self.open and self.snapshots)
    @rule(data=st.data())
    def revert(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.snapshots) - 1))
        mark, model = self.snapshots[index]
        del self.snapshots[index:]
        self.world.revert(mark)
        self.model = model

    @in_transaction
    @rule(address=addresses, balance=small)
    def set_balance(self, address: Address, balance: int) -> None:
        self.world.set_balance(address, balance)
        self.model.write(address, balance=balance)

    @in_transaction
    @rule(address=addresses, amount=small)
    def add_balance(self, address: Address, amount: int) -> None:
        self.world.add_balance(address, amount)
        account = self.model.accounts.get(address, ModelAccount())
        self.model.write(address, balance=account.balance + amount)

    @in_transaction
    @rule(address=addresses)
    def subtract_half(self, address: Address) -> None:
        account = self.model.accounts.get(address, ModelAccount())
        amount = (account.balance + 1) // 2
        self.world.subtract_balance(address, amount)
        self.model.write(address, balance=account.balance - amount)

    @in_transaction
    @rule(address=addresses, nonce=small)
    def set_nonce(self, address: Address, nonce: int) -> None:
        self.world.set_nonce(address, nonce)
        self.model.write(address, nonce=nonce)

    @in_transaction
    @rule(address=addresses)
    def increment_nonce(self, address: Address) -> None:
        self.world.increment_nonce(address)
        account = self.model.accounts.get(address, ModelAccount())
        self.model.write(address, nonce=account.nonce + 1)

    @in_transaction
    @rule(address=addresses, code=codes)
    def set_code(self, address: Address, code: bytes) -> None:
        self.world.set_code(address, code)
        self.model.write(address, code=code)

    @in_transaction
    @rule(address=addresses, slot=slots, word=words)
    def set_storage(self, address: Address, slot: int, word: int) -> None:
        self.world.set_storage(address, slot, word)
        if self.model.word(address, slot) == word:
            return
        if address not in self.model.accounts:
            self.model.accounts[address] = ModelAccount()
            self.model.touched[address] = True
        self.model.accounts[address].words[slot] = word

    @in_transaction
    @rule(address=addresses)
    def delete(self, address: Address) -> None:
        self.world.delete_account(address)
        self.model.delete(address)

    @in_transaction
    @rule(address=addresses)
    def touch(self, address: Address) -> None:
        self.world.touch(address)
        if address in self.model.accounts:
            self.model.touched[address] = True

    @in_transaction
    @rule(address=addresses, slot=slots, word=words)
    def mark(self, address: Address, slot: int, word: int) -> None:
        self.world.warm(address)
        self.world.warm_slot(address, slot)
        self.world.mark_created(address)
        self.world.set_transient(address, slot, word)
        self.model.warm[address] = self.model.warm[address, slot] = True
        self.model.created[address] = True
        self.model.transient[address, slot] = word

    @invariant()
    def reads_agree(self) -> None:
        world, model = self.world, self.model
        assert world.burnt == model.burnt
        for address in ADDRESSES:
            account = model.accounts.get(address)
            shown = account or ModelAccount()
            assert world.exists(address) == (account is not None)
            assert world.is_empty(address) == shown.empty
            assert world.balance(address) == shown.balance
            assert world.nonce(address) == shown.nonce
            assert world.code(address) == shown.code
            assert world.code_hash(address) == keccak256(shown.code)
            assert world.is_warm(address) == (address in model.warm)
            assert world.was_created(address) == (address in model.created)
            for slot in range(4):
                assert world.storage(address, slot) == model.word(address, slot)
                assert world.is_warm_slot(address, slot) == ((address, slot) in model.warm)
                assert world.transient(address, slot) == model.transient.get((address, slot), 0)
                if self.open:
                    assert world.original_storage(address, slot) == self.before.word(address, slot)
            had = bool(self.parent.get(address, ModelAccount()).words)
            kept = had and address not in model.wiped
            assert world.has_storage(address) == (kept or any(shown.words.values()))

    @invariant()
    def changes_lead_from_the_parent_to_here(self) -> None:
        changes = self.world.changes()
        expected = {}
        storage = {}
        wiped = {}
        for address in ADDRESSES:
            old, new = self.parent.get(address), self.model.accounts.get(address)
            old_fields, new_fields = _fields(old), _fields(new)
            if old_fields != new_fields:
                expected[address] = new_fields
            base = old.words if old else {}
            if base and address in self.model.wiped:
                wiped[address] = None
                base = {}
            now = new.words if new else {}
            changed = {slot: now.get(slot, 0) for slot in range(4) if now.get(slot, 0) != base.get(slot, 0)}
            if new is not None and changed:
                storage[address] = changed
        assert changes.accounts == expected
        assert changes.storage == storage
        assert changes.wiped == wiped
        for code_hash, code in changes.codes.items():
            assert keccak256(code) == code_hash


def _fields(account: ModelAccount | None) -> tuple[int, int, Hash32] | None:
    if account is None:
        return None
    return account.nonce, account.balance, Hash32(keccak256(account.code))


WorldMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_world_behaves_like_copies_of_dictionaries = WorldMachine.TestCase
