"""Arithmetic, comparison and bits as expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.vm.pyevm.host import EXP_BYTE_GAS, EXP_GAS, MASK, tenths
from cybermiles.vm.pyevm.symbolic import Operand, Path

if TYPE_CHECKING:
    from collections.abc import Callable

_EXPRESSIONS = {
    0x01: "{a} + {b} & M",
    0x02: "{a} * {b} & M",
    0x03: "{a} - {b} & M",
    0x04: "{a} // {b} if {b} else 0",
    0x06: "{a} % {b} if {b} else 0",
    0x16: "{a} & {b}",
    0x17: "{a} | {b}",
    0x18: "{a} ^ {b}",
    0x19: "{a} ^ M",
    0x1B: "{b} << {a} & M if {a} < 256 else 0",
    0x1C: "{b} >> {a} if {a} < 256 else 0",
}
"""Operations written out; the others call the loop's own functions."""
_COMPARISONS = {
    0x10: "{a} < {b}",
    0x11: "{a} > {b}",
    0x12: "{a} ^ SIGN < {b} ^ SIGN",
    0x13: "{a} ^ SIGN > {b} ^ SIGN",
    0x14: "{a} == {b}",
}
"""Written out likewise, and used as conditions."""
BINARY = (*range(0x01, 0x08), 0x0B, *range(0x10, 0x15), *range(0x16, 0x19), *range(0x1A, 0x1E))
UNARY = (0x15, 0x19, 0x1E)


class Arithmetic(Path):
    """What computes words from words."""

    def __init__(self, seen: list[int]) -> None:
        super().__init__(seen)
        self._bits: dict[Operand, int] = {}
        """How long a value is at most, where that is known."""

    def _operate(self, opcode: int, function: Callable[..., int], *operands: Operand) -> tuple[int, int]:
        constants = [operand for operand in operands if isinstance(operand, int)]
        if len(constants) == len(operands):
            return self._push(function(*constants))
        if opcode == 0x15:
            return self._push(self._test(f"not ({self._truth(operands[0])})"))
        if opcode in _COMPARISONS:
            return self._push(self._test(_COMPARISONS[opcode].format(a=operands[0], b=operands[1])))
        if opcode in (0x1B, 0x1C) and isinstance(operands[0], int):
            return self._shift(opcode, operands[0], operands[1])
        if opcode == 0x16 and constants:
            return self._mask(constants[0], operands[1] if operands[0] == constants[0] else operands[0])
        if opcode in _EXPRESSIONS:
            return self._push(self._value(_EXPRESSIONS[opcode].format(a=operands[0], b=operands[-1])))
        name = f"op{opcode:02x}"
        self._functions[name] = function
        return self._push(self._value(f"{name}({', '.join(map(str, operands))})"))

    def _mask(self, mask: int, operand: Operand) -> tuple[int, int]:
        """AND with a constant; nothing is left of it where it only cuts off what is not there."""
        bits = mask.bit_length()
        if mask == (1 << bits) - 1 and self._bits.get(operand, 256) <= bits:
            return self._push(operand)
        value = self._value(f"{operand} & {mask}")
        self._bits[value] = bits
        return self._push(value)

    def _shift(self, opcode: int, bits: int, operand: Operand) -> tuple[int, int]:
        if bits > 255:
            return self._push(0)
        return self._push(self._value(f"{operand} << {bits} & M" if opcode == 0x1B else f"{operand} >> {bits}"))

    def _exp(self) -> tuple[int, int] | None:
        base, exponent = self._peek(1), self._peek(2)
        if not isinstance(exponent, int):
            return None
        del self._stack[-2:]
        if isinstance(base, int):
            self._push(pow(base, exponent, MASK + 1))
        else:
            self._push(self._value(f"pow({base}, {exponent}, M + 1)"))
        gas = EXP_GAS + EXP_BYTE_GAS * ((exponent.bit_length() + 7) // 8)
        return gas, tenths(gas)
