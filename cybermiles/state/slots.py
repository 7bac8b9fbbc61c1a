"""Typed access to a contract's storage in the layout that the Solidity compiler would give it.

The system contracts keep their state in the storage of their accounts and nowhere else: the one state root commits to
it, a revert undoes it, `eth_getProof` proves it. Words lie where solc would put them, so that anybody can compute the
slot of a delegation with public tools, and a later contract in real Solidity could read the same storage.

    value            its declared slot
    struct           consecutive slots from its first
    packed struct    one slot, the first field in the lowest bits
    mapping          m[key] at keccak256(key32 ‖ slot32); nested: the result is the slot of the inner mapping
    bytes-keyed      m[key] at keccak256(key ‖ slot32), key not padded (bytes and string keys)
    dynamic array    length in the slot, items from keccak256(slot32)
    bytes, string    up to 31 bytes in the slot (data left, 2·length in the lowest byte), else 2·length + 1 in the slot
                     and the data from keccak256(slot32)

`ReadStorage` works on anything that answers `storage(address, slot)`: the world of a block, or committed state at any
root. `Storage` also writes and needs the world, whose journal undoes it. Source: docs.soliditylang.org, "Layout of
State Variables in Storage and Transient Storage".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import InvariantViolation
from cybermiles.types.primitives import Address

if TYPE_CHECKING:
    from collections.abc import Callable

WORD_LIMIT = 1 << 256
_SHORT = 31
"""Bytes that fit into the slot itself."""

Key = bytes | int
"""A mapping's key: an address (20 bytes), bytes32, or an unsigned integer. Not for bytes and string keys."""


class SlotReader(Protocol):
    """What storage is read from: `WorldState` or a `StateReader`."""

    def storage(self, address: Address, slot: int) -> int:
        """Return the word at `slot`, 0 where none is stored."""
        ...


class SlotWriter(SlotReader, Protocol):
    """What storage is written to: `WorldState`."""

    def set_storage(self, address: Address, slot: int, value: int) -> None:
        """Store a word; 0 deletes it."""
        ...


def mapping_slot(slot: int, *keys: Key) -> int:
    """Return the slot of `m[keys[0]][keys[1]]…` for the mapping declared at `slot`.

    Raises InvariantViolation for a key that is no address, bytes32 or unsigned 256-bit integer.
    """
    for key in keys:
        slot = int.from_bytes(keccak256(_key_word(key) + slot.to_bytes(32)))
    return slot


def bytes_mapping_slot(slot: int, key: bytes) -> int:
    """Return the slot of `m[key]` for a mapping with bytes or string keys."""
    return int.from_bytes(keccak256(key + slot.to_bytes(32)))


def items_slot(slot: int) -> int:
    """Return the slot of the first item of a dynamic array, or of long bytes, declared at `slot`."""
    return int.from_bytes(keccak256(slot.to_bytes(32)))


def _key_word(key: Key) -> bytes:
    if isinstance(key, int):
        if not 0 <= key < WORD_LIMIT:
            raise InvariantViolation(f"mapping key {key} does not fit a word")
        return key.to_bytes(32)
    if len(key) not in (20, 32):
        raise InvariantViolation(f"mapping key of {len(key)} bytes is neither an address nor bytes32")
    return key.rjust(32, b"\x00")


class ReadStorage:
    """One contract's storage, read only."""

    __slots__ = ("_reader", "address")

    def __init__(self, reader: SlotReader, address: Address) -> None:
        self._reader = reader
        self.address = address

    def load(self, slot: int) -> int:
        """Return the word at `slot`, 0 where none is stored."""
        return self._reader.storage(self.address, slot)

    def load_address(self, slot: int) -> Address:
        """Return the address that alone fills the word at `slot`; the zero address where none is stored."""
        return Address(self.load(slot).to_bytes(32)[12:])

    def load_bytes(self, slot: int) -> bytes:
        """Return the `bytes` or `string` variable declared at `slot`."""
        word = self.load(slot)
        if not word & 1:
            return word.to_bytes(32)[: (word & 0xFF) >> 1]
        size, first = word >> 1, items_slot(slot)
        words = (self.load((first + i) % WORD_LIMIT).to_bytes(32) for i in range((size + 31) // 32))
        return b"".join(words)[:size]

    def load_text(self, slot: int) -> str:
        """Return the `string` variable declared at `slot`, which was stored as UTF-8."""
        return self.load_bytes(slot).decode()


class Storage(ReadStorage):
    """One contract's storage in a world; every write can be undone by the world's journal."""

    __slots__ = ("_writer",)

    def __init__(self, world: SlotWriter, address: Address) -> None:
        super().__init__(world, address)
        self._writer = world

    def store(self, slot: int, value: int) -> None:
        """Store a word; 0 deletes it. Raises InvariantViolation when it is no unsigned 256-bit integer."""
        if not 0 <= value < WORD_LIMIT:
            raise InvariantViolation(f"{value} does not fit the word at slot {slot:#x} of {self.address.hex()}")
        self._writer.set_storage(self.address, slot, value)

    def add(self, slot: int, amount: int) -> int:
        """Add `amount`, which may be negative, and return the sum. Raises InvariantViolation out of 0 … 2^256-1."""
        total = self.load(slot) + amount
        self.store(slot, total)
        return total

    def store_address(self, slot: int, value: Address) -> None:
        """Store an address alone in its word."""
        self._writer.set_storage(self.address, slot, int.from_bytes(value))

    def store_bytes(self, slot: int, data: bytes) -> None:
        """Store the `bytes` or `string` variable declared at `slot`; words of a longer one before it are deleted."""
        before, first = self.load(slot), items_slot(slot)
        old_words = ((before >> 1) + 31) // 32 if before & 1 else 0
        new_words = 0
        if len(data) <= _SHORT:
            self.store(slot, int.from_bytes(data.ljust(32, b"\x00")) | len(data) << 1)
        else:
            new_words = (len(data) + 31) // 32
            self.store(slot, len(data) << 1 | 1)
        for i in range(max(old_words, new_words)):
            word = int.from_bytes(data[32 * i : 32 * i + 32].ljust(32, b"\x00")) if i < new_words else 0
            self.store((first + i) % WORD_LIMIT, word)

    def store_text(self, slot: int, text: str) -> None:
        """Store a `string` variable as UTF-8."""
        self.store_bytes(slot, text.encode())


class ArrayView:
    """A dynamic array declared at `slot`, whose items take `item_words` slots each, read only."""

    __slots__ = ("_first", "_item_words", "_slot", "_storage")

    def __init__(self, storage: ReadStorage, slot: int, item_words: int = 1) -> None:
        self._storage = storage
        self._slot = slot
        self._first = items_slot(slot)
        self._item_words = item_words

    def __len__(self) -> int:
        return self._storage.load(self._slot)

    def slot_of(self, index: int) -> int:
        """Return the first slot of an item. The caller keeps `index` below the length."""
        return (self._first + index * self._item_words) % WORD_LIMIT

    def page(self, offset: int, limit: int) -> range:
        """Return the indices of a page: at most `limit` items from `offset` on, fewer at the end."""
        size = len(self)
        return range(min(offset, size), min(offset + limit, size))


class Array(ArrayView):
    """The same, in a world, to grow and shrink. Single-word items are read and written by the array itself."""

    __slots__ = ("_writable",)

    def __init__(self, storage: Storage, slot: int, item_words: int = 1) -> None:
        super().__init__(storage, slot, item_words)
        self._writable = storage

    def grow(self) -> int:
        """Add an item, whose words are 0 until they are stored, and return its index."""
        return self._writable.add(self._slot, 1) - 1

    def append(self, value: int) -> int:
        """Add an item of one word and return its index."""
        index = self.grow()
        self._writable.store(self.slot_of(index), value)
        return index

    def drop_last(self) -> None:
        """Remove the last item and clear its words. Raises InvariantViolation on an empty array."""
        index = self._writable.add(self._slot, -1)
        for i in range(self._item_words):
            self._writable.store((self.slot_of(index) + i) % WORD_LIMIT, 0)

    def swap_remove(self, index: int) -> int:
        """Remove an item by moving the last one into its place; return the index that the moved one had.

        Where the last item itself is removed nothing moves and `index` comes back. Raises InvariantViolation for
        an index that is not below the length.
        """
        last = len(self) - 1
        if not 0 <= index <= last:
            raise InvariantViolation(f"array at slot {self._slot:#x} has {last + 1} items, none at {index}")
        if index != last:
            for i in range(self._item_words):
                word = self._writable.load((self.slot_of(last) + i) % WORD_LIMIT)
                self._writable.store((self.slot_of(index) + i) % WORD_LIMIT, word)
        self.drop_last()
        return last


Fields = TypeVar("Fields", bound=tuple[int, ...])


class Packed(Generic[Fields]):
    """A struct of unsigned integers in one word, as solc packs one that fits: the first field in the lowest bits.

        class Window(NamedTuple):
            since: int
            missed: int
        WINDOW = Packed(Window, since=64, missed=32)
        WINDOW.load(storage, slot).missed

    An `address` is 160 bits (`int.from_bytes`), a `bool` 8.
    """

    __slots__ = ("_layout", "_make")

    def __init__(self, make: Callable[..., Fields], **bits: int) -> None:
        if sum(bits.values()) > 256 or any(width % 8 or width <= 0 for width in bits.values()):
            raise InvariantViolation(f"fields {bits} do not fit one word in whole bytes")
        self._make = make
        layout, shift = [], 0
        for name, width in bits.items():
            layout.append((name, shift, (1 << width) - 1))
            shift += width
        self._layout = tuple(layout)

    def unpack(self, word: int) -> Fields:
        """Return the fields of a word."""
        return self._make(*[word >> shift & mask for _, shift, mask in self._layout])

    def pack(self, fields: Fields) -> int:
        """Return the word. Raises InvariantViolation where a field is negative or too wide."""
        word = 0
        for value, (name, shift, mask) in zip(fields, self._layout, strict=True):
            if not 0 <= value <= mask:
                raise InvariantViolation(f"{name} is {value}, which is not in 0 … {mask}")
            word |= value << shift
        return word

    def load(self, storage: ReadStorage, slot: int) -> Fields:
        """Return the fields stored at `slot`; all 0 where nothing is."""
        return self.unpack(storage.load(slot))

    def store(self, storage: Storage, slot: int, fields: Fields) -> None:
        """Store the fields at `slot`. Raises InvariantViolation as `pack` does."""
        storage.store(slot, self.pack(fields))
