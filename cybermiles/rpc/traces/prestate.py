"""`prestateTracer`: the accounts an execution touched, as they were; in diff mode what changed, before and after.

What code looks at is found in its steps, as geth finds it (eth/tracers/native/prestate.go). Contracts in Python and
this chain's fees have no steps: the accounts and slots that they wrote come from the world's undo list at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from orjson import dumps

from cybermiles.crypto.hashing import keccak256
from cybermiles.rpc.quantities import encode_data, encode_word
from cybermiles.types import rlp
from cybermiles.types.primitives import EMPTY_CODE_HASH, Address, Hash32
from cybermiles.vm.tracing import LOG_BYTES, NODE_BYTES, Tracer
from cybermiles.vm.validity import DELEGATION_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.state.world import WorldState
    from cybermiles.vm.backend import BlockContext, ExecutionResult
    from cybermiles.vm.tracing import ByteBudget, Step, TraceStart

_BY_SLOT = (0x54, 0x55)
_BY_ACCOUNT = (0x31, 0x3B, 0x3C, 0x3F, 0xFF)
"""BALANCE, EXTCODESIZE, EXTCODECOPY, EXTCODEHASH, SELFDESTRUCT."""
_CALLS = (0xF1, 0xF2, 0xF4, 0xFA)
_CREATE, _CREATE2, _SELFDESTRUCT = 0xF0, 0xF5, 0xFF
_MAX_INITCODE = 1024 * 1024
"""Longer initcode cannot be created; its address is not looked up, as in geth."""


@dataclass(slots=True)
class _Account:
    """An account as it was."""

    nonce: int
    balance: int
    code_hash: Hash32
    code: bytes
    slots: dict[int, int] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether it was nothing before the execution."""
        return not (self.nonce or self.balance or self.code)


class PrestateTracer(Tracer):
    """Accounts before, and in diff mode after."""

    opcodes = frozenset((*_BY_SLOT, *_BY_ACCOUNT, *_CALLS, _CREATE, _CREATE2))

    def __init__(self, budget: ByteBudget, options: dict[str, bool]) -> None:
        self._budget = budget
        self._is_diff = options.get("diffMode", False)
        self._with_code = not options.get("disableCode", False)
        self._with_storage = not options.get("disableStorage", False)
        self._with_empty = options.get("includeEmpty", False)
        self._pre: dict[Address, _Account] = {}
        self._created: dict[Address, None] = {}
        self._deleted: dict[Address, None] = {}
        self._undo: list[Callable[[], object]] = []
        """Take back what the current step added."""
        self._answer: Json = {}
        self._world: WorldState | None = None

    def start(self, world: WorldState, context: BlockContext, begin: TraceStart) -> None:
        self._world = world
        if begin.to is None:
            to = _created_by(begin.sender, begin.nonce)
            self._created[to] = None
        else:
            to = begin.to
            self._look_up_delegate(world, to)
        for address in (begin.sender, to, context.coinbase, *begin.authorities):
            self._look_up(world, address)
        self._undo.clear()

    def step(self, step: Step) -> None:
        world, opcode, stack = self._world, step.opcode, step.stack
        self._undo.clear()
        if world is None or not stack:
            return
        if opcode in _BY_SLOT:
            self._look_up_slot(world, step.address, stack[-1])
        elif opcode in _BY_ACCOUNT:
            self._look_up(world, _address(stack[-1]))
            if opcode == _SELFDESTRUCT and step.address in self._created:
                self._note(self._deleted, step.address)
        elif opcode in _CALLS and len(stack) >= 5:
            callee = _address(stack[-2])
            self._look_up(world, callee)
            self._look_up_delegate(world, callee)
        elif opcode in (_CREATE, _CREATE2):
            created = _creation(world, step)
            if created is not None:
                self._look_up(world, created)
                self._note(self._created, created)

    def stepped(self, cost: int, refund: int, error: str | None) -> None:  # noqa: ARG002  (the seam)
        if error is not None:
            for take_back in self._undo:
                take_back()
        self._undo.clear()

    def end(self, world: WorldState, result: ExecutionResult) -> None:  # noqa: ARG002  (the seam)
        self._add_what_was_written(world)
        self._answer = self._diff(world) if self._is_diff else self._shown()
        self._world = None

    def render(self) -> bytes:
        """Return address to account, or both sides of the difference."""
        return dumps(self._answer)

    # Finding

    def _look_up(self, world: WorldState, address: Address) -> None:
        if address not in self._pre:
            code = world.code(address)
            self._budget.take(NODE_BYTES + 2 * len(code) * self._with_code)
            account = _Account(world.nonce(address), world.balance(address), world.code_hash(address), code)
            self._pre[address] = account
            self._undo.append(partial(self._pre.pop, address))

    def _look_up_delegate(self, world: WorldState, address: Address) -> None:
        code = world.code(address)
        if code.startswith(DELEGATION_PREFIX):
            self._look_up(world, Address(code[len(DELEGATION_PREFIX) :]))

    def _look_up_slot(self, world: WorldState, address: Address, slot: int) -> None:
        if not self._with_storage:
            return
        self._look_up(world, address)
        slots = self._pre[address].slots
        if slot not in slots:
            self._budget.take(LOG_BYTES // 2)
            slots[slot] = world.storage(address, slot)
            self._undo.append(partial(slots.pop, slot))

    def _note(self, mapping: dict[Address, None], address: Address) -> None:
        if address not in mapping:
            mapping[address] = None
            self._undo.append(partial(mapping.pop, address))

    def _add_what_was_written(self, world: WorldState) -> None:
        for address, (nonce, balance, code_hash) in world.written_accounts().items():
            if address not in self._pre:
                code = world.code(address) if world.code_hash(address) == code_hash else b""
                self._budget.take(NODE_BYTES + 2 * len(code) * self._with_code)
                self._pre[address] = _Account(nonce, balance, code_hash, code)
        if self._with_storage:
            for address, slots in world.written_slots().items():
                self._look_up(world, address)
                known = self._pre[address].slots
                for slot, word in slots.items():
                    if slot not in known:
                        self._budget.take(LOG_BYTES // 2)
                        known[slot] = word

    # Showing

    def _shown(self) -> Json:
        return {
            encode_data(address): self._account(account)
            for address, account in sorted(self._pre.items())
            if self._with_empty or not account.is_empty
        }

    def _diff(self, world: WorldState) -> Json:
        before: dict[str, Json] = {}
        after: dict[str, Json] = {}
        for address, account in sorted(self._pre.items()):
            name = encode_data(address)
            if address in self._deleted:
                if not account.is_empty:
                    before[name] = self._account(account)
                continue
            changes = self._changes(world, address, account)
            if changes is None:
                continue
            after[name] = changes
            if not account.is_empty:
                account.slots = {
                    slot: word for slot, word in account.slots.items() if word and world.storage(address, slot) != word
                }
                before[name] = self._account(account)
        return {"post": after, "pre": before}

    def _changes(self, world: WorldState, address: Address, account: _Account) -> Json:
        """Return what is different now, None where nothing is."""
        changes: dict[str, Json] = {}
        modified = False
        balance, nonce, code_hash = world.balance(address), world.nonce(address), world.code_hash(address)
        if balance != account.balance:
            changes["balance"] = hex(balance)
        if nonce != account.nonce:
            modified = True
            if nonce:
                changes["nonce"] = nonce
        if code_hash != account.code_hash:
            modified = True
            changes["codeHash"] = encode_data(bytes(32) if code_hash == EMPTY_CODE_HASH else code_hash)
            code = world.code(address)
            if self._with_code and code:
                self._budget.take(2 * len(code))
                changes["code"] = encode_data(code)
        storage: dict[str, Json] = {}
        for slot, word in sorted(account.slots.items()):
            now = world.storage(address, slot)
            if now != word:
                modified = True
                if now:
                    storage[encode_word(slot)] = encode_word(now)
        if storage:
            changes["storage"] = storage
        return changes if modified or changes else None

    def _account(self, account: _Account) -> Json:
        shown: dict[str, Json] = {"balance": hex(account.balance)}
        if account.code and self._with_code:
            shown["code"] = encode_data(account.code)
        if account.code_hash != EMPTY_CODE_HASH:
            shown["codeHash"] = encode_data(account.code_hash)
        if account.nonce:
            shown["nonce"] = account.nonce
        if account.slots:
            shown["storage"] = {encode_word(slot): encode_word(word) for slot, word in sorted(account.slots.items())}
        return shown


def _creation(world: WorldState, step: Step) -> Address | None:
    """Return the address that a CREATE or CREATE2 is about to make, None where the stack is too short."""
    if step.opcode == _CREATE:
        return _created_by(step.address, world.nonce(step.address))
    if len(step.stack) < 4:
        return None
    start, size, salt = step.stack[-2], step.stack[-3], step.stack[-4]
    if size > _MAX_INITCODE:
        return None
    initcode = bytes(step.memory[start : start + size]).ljust(size, b"\x00")
    return Address(keccak256(b"\xff" + step.address + salt.to_bytes(32) + keccak256(initcode))[12:])


def _created_by(sender: Address, nonce: int) -> Address:
    return Address(keccak256(rlp.encode([sender, rlp.int_to_bytes(nonce)]))[12:])


def _address(word: int) -> Address:
    return Address((word & (1 << 160) - 1).to_bytes(20))
