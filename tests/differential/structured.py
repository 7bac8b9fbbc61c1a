"""Random programs as a compiler writes them: conditions, loops, functions that return, memory, storage, logs.

Call data decides which way they go, so that one program is run along many paths. All of it can be part of a compiled path.
"""

from __future__ import annotations

import random

WORD = 2**256
FUNCTIONS = 3
_BINARY = (
    0x01,
    0x02,
    0x03,
    0x04,
    0x05,
    0x06,
    0x07,
    0x0B,
    0x10,
    0x11,
    0x12,
    0x13,
    0x14,
    0x16,
    0x17,
    0x18,
    0x1A,
    0x1B,
    0x1C,
    0x1D,
)
_READS = (0x30, 0x33, 0x34, 0x36, 0x3D, 0x42, 0x43, 0x46, 0x58, 0x5A)
_CONSTANTS = (0, 1, 2, 31, 32, 64, 255, 256, 2**128, 2**160 - 1, 2**255, WORD - 1)


class Writer:
    """Assembles one program. What a statement puts on the stack it takes off again."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self._code = bytearray()
        self._labels: dict[int, int] = {}
        self._references: list[tuple[int, int]] = []
        self._functions = [self._label() for _ in range(FUNCTIONS)]
        self._budget = 60

    def program(self) -> bytes:
        """Return the code: statements, an end, and the functions behind it."""
        self._op(0x60, 0x80, 0x60, 0x40, 0x52)
        self._block(self.rng.randrange(3, 9), 0)
        self._end()
        for function in self._functions:
            self._place(function)
            self._block(self.rng.randrange(1, 4), 1)
            self._op(0x56)
        for at, label in self._references:
            self._code[at : at + 2] = self._labels[label].to_bytes(2)
        return bytes(self._code)

    def _op(self, *opcodes: int) -> None:
        self._code += bytes(opcodes)

    def _push(self, value: int) -> None:
        size = (value.bit_length() + 7) // 8
        self._op(0x5F + size)
        self._code += value.to_bytes(size)

    def _label(self) -> int:
        label = len(self._labels)
        self._labels[label] = 0
        return label

    def _place(self, label: int) -> None:
        self._labels[label] = len(self._code)
        self._op(0x5B)

    def _refer(self, label: int) -> None:
        self._op(0x61)
        self._references.append((len(self._code), label))
        self._op(0, 0)

    # Expressions: one word each

    def _word(self, depth: int = 0) -> None:
        kind = self.rng.random()
        if depth > 2 or kind < 0.25:
            self._push(self.rng.choice(_CONSTANTS) if kind < 0.12 else self.rng.randrange(70))
        elif kind < 0.45:
            self._push(self.rng.randrange(0, 160, 16))
            self._op(0x35)
        elif kind < 0.55:
            self._op(self.rng.choice(_READS))
        elif kind < 0.65:
            self._offset()
            self._op(0x51)
        elif kind < 0.72:
            self._slot()
            self._op(0x54)
        elif kind < 0.78:
            self._piece(self.rng.choice((0, 32, 64, 33, None)))
            self._op(0x20)
        elif kind < 0.82:
            self._word(depth + 1)
            self._op(self.rng.choice((0x15, 0x19, 0x3B)))
        elif kind < 0.85:
            self._push(self.rng.choice((0, 1, 7, 255, 256, WORD - 1)))
            self._word(depth + 1)
            self._op(0x0A)
        else:
            self._word(depth + 1)
            self._word(depth + 1)
            self._op(self.rng.choice(_BINARY))

    def _offset(self) -> None:
        """A place in memory: mostly fixed, now and then from call data and too large."""
        kind = self.rng.random()
        if kind < 0.7:
            self._push(self.rng.choice((0, 0, 0, 32, 32, 64, 16, 128, 130, 320, 2_000)))
            return
        self._push(self.rng.randrange(0, 160, 32))
        self._op(0x35)
        if kind < 0.97:
            self._push(self.rng.choice((63, 1_023, 65_535)))
            self._op(0x16)

    def _slot(self) -> None:
        """A slot: fixed, by call data, or of a mapping."""
        kind = self.rng.random()
        if kind < 0.4:
            self._push(self.rng.randrange(6))
        elif kind < 0.6:
            self._push(self.rng.randrange(0, 160, 32))
            self._op(0x35)
            self._push(3)
            self._op(0x16)
        else:
            self._op(0x33) if kind < 0.8 else self._word(2)
            self._push(0)
            self._op(0x52)
            self._push(self.rng.randrange(3))
            self._push(32)
            self._op(0x52)
            self._push(64)
            self._push(0)
            self._op(0x20)

    def _piece(self, size: int | None) -> None:
        """Size and offset of a piece of memory."""
        if size is None:
            self._word(2)
            self._push(self.rng.choice((127, 4_095)))
            self._op(0x16)
        else:
            self._push(size)
        self._offset()

    # Statements

    def _block(self, count: int, level: int) -> None:
        for _ in range(count):
            if self._budget:
                self._budget -= 1
                self._statement(level)

    def _statement(self, level: int) -> None:
        kind = self.rng.random()
        if kind < 0.25:
            self._word()
            self._offset()
            self._op(0x52)
        elif kind < 0.4:
            self._word()
            self._slot()
            self._op(0x55)
        elif kind < 0.48:
            topics = self.rng.randrange(5)
            for _ in range(topics):
                self._word(2)
            self._piece(self.rng.choice((0, 32, 40, None)))
            self._op(0xA0 + topics)
        elif kind < 0.7:
            self._condition(level)
        elif kind < 0.8 and level < 2:
            self._loop(level)
        elif kind < 0.92 and level == 0:
            self._call()
        elif kind < 0.94:
            self._end()
        else:
            self._word()
            self._word()
            self._op(0x90, 0x50, 0x50)

    def _condition(self, level: int) -> None:
        behind, other = self._label(), self._label()
        self._word()
        if self.rng.random() < 0.5:
            self._op(0x15)
        self._refer(other)
        self._op(0x57)
        self._block(self.rng.randrange(3), level + 1)
        self._refer(behind)
        self._op(0x56)
        self._place(other)
        self._block(self.rng.randrange(3), level + 1)
        self._place(behind)

    def _loop(self, level: int) -> None:
        """Up to seven rounds, as many as call data says."""
        head, behind = self._label(), self._label()
        self._push(self.rng.randrange(0, 160, 32))
        self._op(0x35, 0x60, 0x07, 0x16)
        self._place(head)
        self._op(0x80, 0x15)
        self._refer(behind)
        self._op(0x57)
        self._block(self.rng.randrange(1, 3), level + 1)
        self._op(0x60, 0x01, 0x90, 0x03)
        self._refer(head)
        self._op(0x56)
        self._place(behind)
        self._op(0x50)

    def _call(self) -> None:
        back = self._label()
        self._refer(back)
        self._refer(self.rng.choice(self._functions))
        self._op(0x56)
        self._place(back)

    def _end(self) -> None:
        kind = self.rng.random()
        if kind < 0.2:
            self._op(0x00)
        else:
            self._piece(self.rng.choice((0, 32, 64, None)))
            self._op(0xF3 if kind < 0.9 else 0xFD)


def call_data(rng: random.Random) -> bytes:
    """Return five words: small numbers mostly."""
    words = [rng.choice((0, 0, 1, 2, 3, 5, 32, 64, 100, 2**160 - 1, 2**255, rng.getrandbits(256))) for _ in range(5)]
    return b"".join(word.to_bytes(32) for word in words)[: rng.choice((160, 160, 160, 33, 4))]
