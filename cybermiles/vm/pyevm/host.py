"""What compiled paths call: the opcodes' parts that are known only when they run.

Each either does all of it, or nothing and says so; then the path leaves the opcode to its single step. `most` is the
gas that may be spent, what the rest of the path needs not included.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from cybermiles.crypto.hashing import keccak256
from cybermiles.types.primitives import Address
from cybermiles.types.receipt import Log
from cybermiles.vm.compute_units import DYNAMIC_GAS_SHIFT
from cybermiles.vm.pyevm.dispatch import expansion_gas

if TYPE_CHECKING:
    from cybermiles.state.parent import Slots
    from cybermiles.types.primitives import Hash32
    from cybermiles.vm.pyevm.frame import Frame

MASK = 2**256 - 1
LOW_20_BYTES = (1 << 160) - 1

EXP_GAS, EXP_BYTE_GAS = 10, 50
WARM_GAS = 100
COLD_ACCOUNT_GAS = 2_600
NEW_ACCOUNT_GAS = 25_000
COLD_SLOT_GAS = 2_100
SET_GAS = 20_000
RESET_GAS = 2_900
SSTORE_SENTRY = 2_300
CLEAR_REFUND = 4_800
TOPIC_GAS = 375

MOST_FOR_STORING = COLD_SLOT_GAS + SET_GAS
MOST_FOR_BYTES = 32_768
"""Gas for hashing or logging in a path: both bound the compute units that it may take unseen."""
MOST_BYTES = 2_048
"""Likewise."""
HASHES_KEPT = 4_096
"""Slots of mappings, about 1 MB: a transfer asks for the same one up to four times."""


def load(data: bytes, start: int) -> int:
    """CALLDATALOAD: the word of `data` at `start`, with zeros behind its end."""
    word = data[start : start + 32] if start < len(data) else b""
    return int.from_bytes(word) << 8 * (32 - len(word))


def grow(memory: bytearray, end: int, most: int) -> int:
    """Extend memory to `end` bytes, which are more than it has, and return the gas for it; -1 if it is over `most`."""
    gas = expansion_gas(len(memory), end)
    if gas > most:
        return -1
    _extend(memory, end)
    return gas


def _extend(memory: bytearray, end: int) -> None:
    """Extend memory to `end` bytes in whole words."""
    memory.extend(bytes((end + 31) // 32 * 32 - len(memory)))


def claim(memory: bytearray, start: int, size: int, gas: int, most: int) -> int:
    """Extend memory to hold those bytes and return `gas` with what that costs; -1 where it is too much."""
    if size > MOST_BYTES:
        return -1
    if size and start + size > len(memory):
        gas += expansion_gas(len(memory), start + size)
    if gas > most or gas > MOST_FOR_BYTES:
        return -1
    if size and start + size > len(memory):
        _extend(memory, start + size)
    return gas


@lru_cache(maxsize=HASHES_KEPT)
def hash_words(*words: int) -> int:
    """Return the keccak-256 of words, as the slots of mappings and arrays are made."""
    return int.from_bytes(keccak256(b"".join([word.to_bytes(32) for word in words])))


def warm_slot(frame: Frame, slot: int) -> None:
    """Note that the frame's contract has accessed the slot."""
    frame.state.world.warm_slot(frame.address, slot)


def storing(original: int, current: int, value: int) -> tuple[int, int]:
    """Return the gas of storing `value` in a warm slot, and what it adds to the refunds (EIP-2200, 2929, 3529).

    `original` is what the slot held when the transaction began, `current` what it holds now.
    """
    if value == current:
        return WARM_GAS, 0
    if original == current:
        if not original:
            return SET_GAS, 0
        return RESET_GAS, 0 if value else CLEAR_REFUND
    refund = 0
    if original and not current:
        refund -= CLEAR_REFUND
    if original and not value:
        refund += CLEAR_REFUND
    if original == value:
        refund += (RESET_GAS if original else SET_GAS) - WARM_GAS
    return WARM_GAS, refund


def store(frame: Frame, slots: Slots, warm: dict[int, bool], slot: int, value: int, left: int, most: int) -> int:
    """SSTORE with `left` gas before it; return the gas it took, -1 where it fails.

    `slots` and `warm` are those of the frame's contract.
    """
    if left <= SSTORE_SENTRY or frame.msg.is_static:
        return -1
    world, address = frame.state.world, frame.address
    current = slots[slot]
    gas, refund = storing(world.original_storage(address, slot), current, value)
    if slot not in warm:
        gas += COLD_SLOT_GAS
    if gas > most:
        return -1
    if slot not in warm:
        world.warm_slot(address, slot)
    if value != current:
        frame.refund += refund
        world.set_storage(address, slot, value)
    return gas


def visit(frame: Frame, account: int, most: int) -> int:
    """Return the gas of reading an account (EIP-2929), -1 if it is over `most`."""
    address = Address((account & LOW_20_BYTES).to_bytes(20))
    if frame.state.is_address_warm(address):
        return WARM_GAS if most >= WARM_GAS else -1
    if most < COLD_ACCOUNT_GAS:
        return -1
    frame.state.world.warm(address)
    return COLD_ACCOUNT_GAS


def code_size(frame: Frame, account: int) -> int:
    """Return the length of an account's code."""
    return len(frame.state.world.code(Address((account & LOW_20_BYTES).to_bytes(20))))


def log(frame: Frame, topics: tuple[Hash32, ...], data: bytearray) -> None:
    """Log from a frame that may."""
    frame.logs.append(Log(frame.address, topics, bytes(data)))


_FUNCTIONS = (load, grow, claim, hash_words, warm_slot, store, visit, code_size, log)
SCOPE = {
    "M": MASK,
    "SIGN": 1 << 255,
    "from_bytes": int.from_bytes,
    "keccak256": keccak256,
    **{function.__name__: function for function in _FUNCTIONS},
}
"""Names in compiled paths."""


def tenths(gas: int) -> int:
    """Return the compute units of dynamic gas."""
    return gas >> DYNAMIC_GAS_SHIFT
