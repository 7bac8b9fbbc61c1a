"""Random EVM programs that mostly do something: a seed makes one scenario of contracts, calldata and gas.

The generator knows how many words each opcode takes and leaves, so that most programs run on instead of ending in a stack
underflow; operands are chosen from the values at which implementations differ. Now and then it forgets its manners and emits any
byte at all.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

SENDER = b"\xaa" * 20
COINBASE = b"\xbb" * 20
CONTRACTS = tuple(bytes([0xC0 + i]) * 20 for i in range(4))
PLAIN_ACCOUNT = b"\xee" * 20
ABSENT_ACCOUNT = b"\xdd" * 20
PRECOMPILES = tuple(n.to_bytes(20) for n in (1, 2, 3, 4, 5, 6, 7, 9))
CHEAP_PRECOMPILES = (1, 2, 3, 4, 5, 9)
SLOTS = tuple(range(6))

_TARGETS = (*CONTRACTS, *CONTRACTS, PLAIN_ACCOUNT, ABSENT_ACCOUNT, SENDER, COINBASE, *PRECOMPILES)

_EXTREMES = (
    0, 1, 2, 3, 31, 32, 33, 63, 64, 65, 95, 96, 127, 128, 255, 256, 257, 1023, 1024, 4095, 24_576, 49_152, 65_535,
    2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**128 - 1, 2**128, 2**160 - 1, 2**160,
    2**255 - 1, 2**255, 2**255 + 1, 2**256 - 2, 2**256 - 1,
)  # fmt: skip

_ARITY = {
    **dict.fromkeys((*range(0x01, 0x08), 0x0A, 0x0B, *range(0x10, 0x15), 0x16, 0x17, 0x18, *range(0x1A, 0x1E)), (2, 1)),
    **dict.fromkeys((0x08, 0x09), (3, 1)),
    **dict.fromkeys((0x15, 0x19, 0x31, 0x35, 0x3B, 0x3F, 0x40, 0x49, 0x51, 0x54, 0x5C), (1, 1)),
    **dict.fromkeys((0x30, 0x32, 0x33, 0x34, 0x36, 0x38, 0x3A, 0x3D, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x4A,
                     0x58, 0x59, 0x5A, 0x5F), (0, 1)),
    **dict.fromkeys((0x37, 0x39, 0x3E, 0x5E), (3, 0)),
    0x20: (2, 1), 0x3C: (4, 0), 0x50: (1, 0), 0x52: (2, 0), 0x53: (2, 0), 0x55: (2, 0), 0x5B: (0, 0), 0x5D: (2, 0),
    **{0xA0 + n: (2 + n, 0) for n in range(5)},
    0xF0: (3, 1), 0xF1: (7, 1), 0xF2: (7, 1), 0xF4: (6, 1), 0xF5: (4, 1), 0xFA: (6, 1),
    0xF3: (2, 0), 0xFD: (2, 0), 0xFF: (1, 0),
}  # fmt: skip

_COMMON = tuple(op for op in _ARITY if op not in (0xF3, 0xFD, 0xFF))
_RARE_END = (0x00, 0xF3, 0xFD, 0xFF, 0xFE)


@dataclass(frozen=True)
class Scenario:
    """One transaction and the contracts it meets."""

    seed: int
    codes: tuple[bytes, ...]
    storage: dict[int, int]
    """One word of the called contract: pyrevm takes any more for accesses of the transaction itself."""
    data: bytes
    value: int
    gas: int


class _Writer:
    """Code under construction with the stack depth it has reached."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.code = bytearray()
        self.depth = 0

    def push(self, value: int, width: int = 0) -> None:
        size = max(width, (value.bit_length() + 7) // 8)
        self.code.append(0x5F + size)
        self.code += value.to_bytes(size)
        self.depth += 1

    def op(self, opcode: int) -> None:
        taken, left = _ARITY[opcode]
        self.code.append(opcode)
        self.depth += left - taken

    def word(self) -> int:
        rng = self.rng
        kind = rng.random()
        if kind < 0.45:
            return rng.randrange(0, 130)
        if kind < 0.85:
            return rng.choice(_EXTREMES)
        return rng.getrandbits(rng.choice((8, 64, 160, 256)))

    def small(self) -> int:
        return self.rng.choice((0, 0, 1, 4, 20, 32, 33, 64, 96, 128, 160, 213))

    def any(self) -> None:
        """Append one random step."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.25:
            self.push(self.word())
        elif kind < 0.32 and self.depth:
            self.code.append(0x80 + rng.randrange(min(self.depth, 16)))
            self.depth += 1
        elif kind < 0.38 and self.depth > 1:
            self.code.append(0x90 + rng.randrange(min(self.depth - 1, 16)))
        elif kind < 0.48:
            self.call()
        elif kind < 0.53:
            self.branch()
        elif kind < 0.60:
            self.store()
        elif kind < 0.64:
            self.copy()
        elif kind < 0.66:
            self.create()
        elif kind < 0.97:
            self.common()
        elif kind < 0.985:
            self.code.append(rng.choice(_RARE_END))
        else:
            self.code.append(rng.randrange(256))

    def common(self) -> None:
        opcode = self.rng.choice(_COMMON)
        while self.depth < _ARITY[opcode][0] and self.rng.random() < 0.97:
            self.push(self.word())
        self.op(opcode)
        self.depth = max(self.depth, 0)

    def store(self) -> None:
        self.push(self.rng.choice((0, 0, 1, 2, self.word())))
        self.push(self.rng.choice(SLOTS))
        self.op(self.rng.choice((0x55, 0x55, 0x5D)))

    def copy(self) -> None:
        opcode = self.rng.choice((0x37, 0x39, 0x3C, 0x3E, 0x5E, 0x20, 0x52, 0x53, 0x51))
        if opcode == 0x3C:
            self.push(self.small())
        for _ in range({0x20: 2, 0x52: 2, 0x53: 2, 0x51: 1}.get(opcode, 3) - 1):
            self.push(self.small())
        self.push(self.small())
        if opcode == 0x3C:
            self.push(int.from_bytes(self.rng.choice(_TARGETS)))
        self.op(opcode)

    def call(self) -> None:
        rng = self.rng
        opcode = rng.choice((0xF1, 0xF1, 0xF2, 0xF4, 0xFA))
        for _ in range(4):
            self.push(self.small())
        if opcode in (0xF1, 0xF2):
            self.push(rng.choice((0, 0, 0, 1, 2, 10**18)))
        self.push(int.from_bytes(rng.choice(_TARGETS)))
        self.push(rng.choice((0, 1, 700, 2_300, 5_000, 30_000, 60_000, 2**255)))
        self.op(opcode)

    def create(self) -> None:
        rng = self.rng
        initcode = _initcode(rng)
        size = len(initcode)
        self.push(int.from_bytes(initcode))
        self.push(0)
        self.op(0x52)
        salted = rng.random() < 0.5
        if salted:
            self.push(rng.choice((0, 1, 2)))
        self.push(size)
        self.push(32 - size)
        self.push(rng.choice((0, 0, 1)))
        self.op(0xF5 if salted else 0xF0)

    def branch(self) -> None:
        """Append a conditional jump over a few steps, or a bounded loop."""
        rng = self.rng
        if rng.random() < 0.5:
            self.push(rng.choice((0, 1)))
            at = len(self.code)
            self.push(0xFFFF)
            self.code.append(0x57)
            self.depth -= 2
            depth = self.depth
            for _ in range(rng.randrange(3)):
                self.any()
            self.code[at + 1 : at + 3] = len(self.code).to_bytes(2)
            self.code.append(0x5B)
            self.depth = min(depth, self.depth)
            return
        self.push(rng.randrange(1, 5))
        start = len(self.code)
        self.code.append(0x5B)
        self.push(1)
        self.code += b"\x90\x03\x80"
        self.push(start, 2)
        self.code.append(0x57)
        self.depth -= 2


def _initcode(rng: random.Random) -> bytes:
    return rng.choice(
        (
            bytes.fromhex("600160005560006000f3"),
            bytes.fromhex("60ef60005360016000f3"),
            bytes.fromhex("60fe60005360016000f3"),
            bytes.fromhex("6000356000fd"),
            bytes.fromhex("33ff"),
            bytes.fromhex("30ff"),
            bytes.fromhex("6460ff60005360206000f3"),
            bytes.fromhex("61600160006000f3")[:7],
            b"\xfe",
        )
    )


def program(rng: random.Random) -> bytes:
    """Return one contract's code."""
    writer = _Writer(rng)
    for _ in range(rng.randrange(1, 45)):
        writer.any()
    if rng.random() < 0.6:
        writer.push(rng.choice((0, 32, 64)))
        writer.push(0)
        writer.code.append(rng.choice((0xF3, 0xF3, 0xF3, 0xFD)))
    return bytes(writer.code)


def extreme_program(rng: random.Random) -> bytes:
    """Return one opcode on a stack of extreme values: what a validity check forgets first."""
    code = bytearray()
    if rng.random() < 0.5:
        code += bytes.fromhex("60ff60005260ff61012052")
    writer = _Writer(rng)
    for _ in range(rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 17))):
        writer.push(rng.choice((0, 0, 1, 32, rng.choice(_EXTREMES))))
    code += writer.code
    code.append(rng.randrange(256))
    code += bytes.fromhex("5f52595ff3")
    return bytes(code)


def scenario(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    rng = random.Random(seed)
    make = extreme_program if rng.random() < 0.3 else program
    codes = tuple(make(rng) if i == 0 or rng.random() < 0.8 else program(rng) for i in range(len(CONTRACTS)))
    storage = {rng.choice(SLOTS): rng.choice((1, 2, 2**256 - 1))} if rng.random() < 0.7 else {}
    return Scenario(
        seed=seed,
        codes=codes,
        storage=storage,
        data=rng.randbytes(rng.choice((0, 1, 4, 36, 68, 200))),
        value=rng.choice((0, 0, 1, 10**15)),
        gas=rng.choice((60_000, 120_000, 300_000, 1_000_000)),
    )
