"""The contract that changes accounts on a chain for development: balances, nonces, code and storage.

It stands only where the genesis document says `dev`. Its one caller is its own address, for which nobody has a key: an
unsigned transaction, which only such a chain includes. So every edit is a transaction in a block, and whoever replays,
traces or follows the chain comes to the same state. What the books of the system contracts say is never touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cybermiles.chain.predeploys import DEV, SYSTEM_CONTRACTS, is_reserved
from cybermiles.crypto.hashing import keccak256
from cybermiles.types.primitives import Address
from cybermiles.vm.native import NativeRevert

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.state.world import WorldState
    from cybermiles.vm.native import NativeCall

EDIT_GAS = 5_000
EDIT_COMPUTE_UNITS = 100
CODE_UNITS_PER_WORD = 1
"""Hashing and storing code, 32 bytes."""
_WORD = 32
_MAX_NONCE = 2**64 - 1
_MAX_BALANCE = 2**128 - 1
_ERROR_STRING = keccak256(b"Error(string)")[:4]


def edit_calldata(signature: str, address: Address, *words: int, tail: bytes | None = None) -> bytes:
    """Return the calldata of an edit: `signature` is one of `EDITS`, `tail` the last argument where it is bytes."""
    head = [int.from_bytes(address), *words]
    encoded = b"".join(word.to_bytes(_WORD) for word in head)
    if tail is not None:
        padding = bytes(-len(tail) % _WORD)
        encoded += ((len(head) + 1) * _WORD).to_bytes(_WORD) + len(tail).to_bytes(_WORD) + tail + padding
    return keccak256(signature.encode())[:4] + encoded


class DevContract:
    """`vm.native.NativeContract` at `DEV`."""

    address: Final = DEV

    def call(self, call: NativeCall) -> bytes:
        """Make one edit. Reverts with a reason where it may not or cannot be made."""
        call.consume(gas=EDIT_GAS, compute_units=EDIT_COMPUTE_UNITS)
        if call.is_static or call.depth or call.sender != DEV:
            raise _refusal("only the development node itself edits accounts")
        edit = _SELECTORS.get(call.data[:4])
        if edit is None or len(call.data) < 4 + 2 * _WORD:
            raise _refusal("no such edit")
        target = Address(call.data[4 + _WORD - 20 : 4 + _WORD])
        if target in SYSTEM_CONTRACTS or is_reserved(target):
            raise _refusal("precompiled and system contracts are not edited: their books would be wrong")
        call.consume(gas=0, compute_units=len(call.data) // _WORD * CODE_UNITS_PER_WORD)
        edit(call.world, target, call.data[4 + _WORD :])
        return b""


def _set_balance(world: WorldState, target: Address, rest: bytes) -> None:
    balance = _word(rest, 0)
    if balance > _MAX_BALANCE:
        raise _refusal("a balance over 2^128 - 1 wei could not be received by whoever has as much")
    world.set_balance(target, balance)


def _set_nonce(world: WorldState, target: Address, rest: bytes) -> None:
    nonce = _word(rest, 0)
    if not world.nonce(target) <= nonce < _MAX_NONCE:
        raise _refusal("a nonce only rises: a lower one would let old transactions run again")
    world.set_nonce(target, nonce)


def _set_code(world: WorldState, target: Address, rest: bytes) -> None:
    length = _word(rest, 1)
    code = rest[2 * _WORD : 2 * _WORD + length]
    if len(code) != length:
        raise _refusal("the code is cut off")
    world.set_code(target, code)


def _set_storage(world: WorldState, target: Address, rest: bytes) -> None:
    if world.is_empty(target):
        raise _refusal("an account without balance, nonce and code keeps no storage: set one of them first")
    world.set_storage(target, _word(rest, 0), _word(rest, 1))


def _word(rest: bytes, index: int) -> int:
    return int.from_bytes(rest[index * _WORD : (index + 1) * _WORD].ljust(_WORD, b"\0"))


def _refusal(reason: str) -> NativeRevert:
    text = reason.encode()
    words = _WORD.to_bytes(_WORD) + len(text).to_bytes(_WORD) + text + bytes(-len(text) % _WORD)
    return NativeRevert(_ERROR_STRING + words)


SET_BALANCE = "setBalance(address,uint256)"
SET_NONCE = "setNonce(address,uint64)"
SET_CODE = "setCode(address,bytes)"
SET_STORAGE = "setStorageAt(address,uint256,uint256)"
EDITS: dict[str, Callable[[WorldState, Address, bytes], None]] = {
    SET_BALANCE: _set_balance,
    SET_NONCE: _set_nonce,
    SET_CODE: _set_code,
    SET_STORAGE: _set_storage,
}
_SELECTORS = {keccak256(signature.encode())[:4]: edit for signature, edit in EDITS.items()}
