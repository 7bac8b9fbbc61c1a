"""`console.log` of Solidity: what a call to the console's address says, and a tracer that collects it.

Hardhat and Foundry have a `console.sol` that calls an address without code with one of some 700 signatures: up to four
of uint256, string, bool and address, or one int256, bytes or bytesN. The first versions took selectors of `uint` and
`int`, which are no types of the ABI; contracts compiled with them still do.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Final

from cybermiles.crypto.hashing import keccak256
from cybermiles.types.primitives import Address
from cybermiles.vm.tracing import Tracer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cybermiles.vm.tracing import CallStart

CONSOLE: Final = Address(bytes.fromhex("000000000000000000636F6e736F6c652e6c6f67"))
MARK: Final = b"console.log"
"""The console's address without its zeros: in the code of whoever calls it."""
MAX_LINES = 1_000
"""Collected from one execution; the rest is dropped."""
MAX_TEXT = 4_096
"""Characters of one line."""
_WORD = 32


class ConsoleRecorder(Tracer):
    """Collects the lines of one execution, in order, whether or not their frames succeed: that is what they are for."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def enter(self, call: CallStart) -> None:
        if call.to == CONSOLE and len(self.lines) < MAX_LINES:
            self.lines.append(console_text(call.data))


def console_text(data: bytes) -> str:
    """Return the line that calldata of the console means; what is none of its signatures is shown as hex."""
    types = _SIGNATURES.get(data[:4])
    if types is None:
        return "0x" + data[: MAX_TEXT // 2].hex()
    arguments = data[4:]
    values = [_value(name, arguments, index) for index, name in enumerate(types)]
    return _formatted(types, values)[:MAX_TEXT]


def _formatted(types: Sequence[str], values: Sequence[str]) -> str:
    """Join values with blanks; a string in front that has %s, %d, %i or %o takes the next ones in their places."""
    if not types or types[0] != "string" or "%" not in values[0]:
        return " ".join(values)
    parts, rest = [], list(values[1:])
    text = values[0]
    position = 0
    while position < len(text):
        pair = text[position : position + 2]
        if pair == "%%":
            parts.append("%")
        elif pair in ("%s", "%d", "%i", "%o") and rest:
            parts.append(rest.pop(0))
        else:
            parts.append(text[position])
            position -= 1
        position += 2
    return " ".join(["".join(parts), *rest])


def _value(name: str, arguments: bytes, index: int) -> str:
    word = arguments[index * _WORD : (index + 1) * _WORD].ljust(_WORD, b"\0")
    number = int.from_bytes(word)
    match name:
        case "uint256":
            return str(number)
        case "int256":
            return str(int.from_bytes(word, signed=True))
        case "bool":
            return "true" if number else "false"
        case "address":
            return "0x" + word[12:].hex()
        case "string":
            return _printable(_tail(arguments, number))
        case "bytes":
            return "0x" + _tail(arguments, number).hex()
        case _:
            return "0x" + word[: int(name.removeprefix("bytes"))].hex()


def _tail(arguments: bytes, offset: int) -> bytes:
    """Return what a dynamic argument holds, as far as it is there."""
    size = int.from_bytes(arguments[offset : offset + _WORD]) if offset < len(arguments) else 0
    return arguments[offset + _WORD : offset + _WORD + min(size, MAX_TEXT)]


def _printable(text: bytes) -> str:
    """Return text for a terminal: no control characters, which could rewrite what stands above."""
    decoded = text.decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in decoded)


def _signatures() -> Iterator[tuple[str, tuple[str, ...]]]:
    single = ("int256", "bytes", *(f"bytes{size}" for size in range(1, 33)))
    combined = (
        types for count in range(5) for types in product(("uint256", "string", "bool", "address"), repeat=count)
    )
    for types in (*combined, *((name,) for name in single)):
        written = f"log({','.join(types)})"
        yield written, types
        yield written.replace("int256", "int"), types


_SIGNATURES: Final = {keccak256(written.encode())[:4]: types for written, types in _signatures()}
