"""A path through code as one Python function: what the dispatch loop runs in place of single steps.

`program.py` chooses the path. A `Fuser` runs it on a stack of expressions (`symbolic.py`), so that pushes,
duplications and swaps disappear and what is left is arithmetic on local variables. It writes a function like

    def path(stack, memory, frame, gas, units):
        i1 = stack[-1]                                  an operand from below
        t1 = i1 + 32 & M                                an opcode
        if t1 < i1:                                     JUMPI: the path goes on where it mostly went;
            stack[-1] = t1                              a side exit brings the stack up to date and says
            return ~87, gas - 14, units - 9             where to go on and what is left of gas and units
        ...
        return 12, gas - 61, units - 45

The static gas of the whole path (S in the function), the most compute units that it can take, depth and room of the
stack are there before it begins: `Stretch` says what is needed, the loop checks it. So `gas` and `units` are changed
on the way only by what is known when it runs (cold slots, growing memory), and never below what the rest needs.

An opcode that could fail (no gas for that, a write in a static call) or that is too large is left to its single step:
the path exits in front of it. So all failures happen in the single steps, and gas, compute units and errors are always
theirs. What runs other frames or ends this one stays a step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.vm.compute_units import DYNAMIC_GAS_SHIFT, KECCAK_SHIFT
from cybermiles.vm.pyevm.arithmetic import BINARY, UNARY, Arithmetic
from cybermiles.vm.pyevm.host import (
    COLD_ACCOUNT_GAS,
    COLD_SLOT_GAS,
    MOST_BYTES,
    MOST_FOR_BYTES,
    MOST_FOR_STORING,
    TOPIC_GAS,
    WARM_GAS,
    tenths,
)
from cybermiles.vm.pyevm.symbolic import Jump, Operand

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.vm.pyevm.steps import Step

SHORTEST = 3
"""Opcodes below which a path costs more than its steps."""
LONGEST = 768
"""Opcodes of one path with its exits: bounds what compiling one takes to some 10 ms."""
MAX_FIXED_OFFSET = 1 << 16
"""Bytes of memory or call data behind which nothing is taken for granted."""

_READS = {
    0x30: "from_bytes(frame.address)",
    0x33: "from_bytes(frame.msg.sender)",
    0x34: "frame.msg.value",
    0x36: "len(frame.msg.data)",
    0x3D: "len(frame.return_data)",
    0x42: "frame.state.timestamp",
    0x43: "frame.state.block_number",
    0x46: "frame.state.chain_id",
}
"""ADDRESS, CALLER, CALLVALUE, CALLDATASIZE, RETURNDATASIZE, TIMESTAMP, NUMBER, CHAINID."""
_ADDRESSES = (0x30, 0x33)
READ_GAS = 2
_LOG0, _LOG4 = 0xA0, 0xA4
_OTHERS = (0x0A, 0x20, 0x35, 0x3B, *range(0x50, 0x53), *range(0x54, 0x59), 0x5A, 0x5B, *range(0x5F, _LOG4 + 1), 0xF3)
FUSABLE = bytes(opcode in (*BINARY, *UNARY, *_READS, *_OTHERS) for opcode in range(256))
"""1 for each opcode that may be part of a path."""


class Fuser(Arithmetic):
    """Takes the opcodes of a path one by one. Used once."""

    def __init__(self, seen: list[int]) -> None:
        super().__init__(seen)
        self._known: dict[int, Operand] = {}
        """Words of memory by offset."""
        self._warm: set[Operand] = set()
        self._reached = 0
        """Bytes of memory that are there for sure."""
        self._may_log = False

    def take(self, opcode: int, step: Step, index: int) -> bool:
        """Append one `FUSABLE` opcode, whose single step is at `index`; False where it cannot be part of the path."""
        stretch = self.stretch
        if self.size >= LONGEST:
            return False
        self._here = index
        self._prefix = (stretch.gas, stretch.weight)
        extra = self._apply(opcode, step)
        if extra is None:
            return False
        stretch.length += 1
        self.size += 1
        stretch.gas += step[1] + extra[0]
        stretch.weight += step[2] + extra[1]
        return True

    # One opcode each: the gas and weight beside the table's, or None

    def _apply(self, opcode: int, step: Step) -> tuple[int, int] | None:
        if 0x5F <= opcode <= 0x7F or opcode == 0x58:
            return self._push(step[3])
        if 0x80 <= opcode <= 0x8F:
            return self._push(self._peek(opcode - 0x7F))
        if 0x90 <= opcode <= 0x9F:
            return self._swap(opcode - 0x8F)
        if opcode in UNARY:
            return self._operate(opcode, step[3], self._pop())
        if opcode in BINARY:
            return self._operate(opcode, step[3], self._pop(), self._pop())
        return self._apply_other(opcode)

    def _apply_other(self, opcode: int) -> tuple[int, int] | None:
        if opcode in _READS:
            return self._read(opcode)
        if _LOG0 <= opcode <= _LOG4:
            return self._log(opcode - _LOG0)
        others: dict[int, Callable[[], tuple[int, int] | None]] = {
            0x0A: self._exp,
            0x20: self._keccak,
            0x35: self._load_data,
            0x3B: self._code_size,
            0x50: self._drop,
            0x51: self._mload,
            0x52: self._mstore,
            0x54: self._sload,
            0x55: self._sstore,
            0x56: self._jump,
            0x57: self._jump_if,
            0x5A: self._gas,
            0x5B: self._nothing,
            0xF3: self._return,
        }
        return others[opcode]()

    def _jump(self) -> tuple[int, int]:
        self.jump = Jump(self._pop(), None)
        return 0, 0

    def _jump_if(self) -> tuple[int, int]:
        self.jump = Jump(self._pop(), self._pop())
        return 0, 0

    def _gas(self) -> tuple[int, int]:
        return self._push(self._assign(f"gas - {self._prefix[0] + READ_GAS}"))

    def _nothing(self) -> tuple[int, int]:
        return 0, 0

    def _drop(self) -> tuple[int, int]:
        self._pop()
        return 0, 0

    def _read(self, opcode: int) -> tuple[int, int]:
        value = self._value(_READS[opcode])
        if opcode in _ADDRESSES:
            self._bits[value] = 160
        self._push(value)
        return READ_GAS, 0

    def _load_data(self) -> tuple[int, int]:
        start = self._pop()
        self._bind("data", "frame.msg.data")
        if not isinstance(start, int) or start > MAX_FIXED_OFFSET:
            return self._push(self._value(f"load(data, {start})"))
        end = start + 32
        there = f"from_bytes(data[{start}:{end}]) if len(data) >= {end}"
        return self._push(self._value(f"{there} else load(data, {start})"))

    # Memory

    def _mload(self) -> tuple[int, int] | None:
        offset = self._peek(1)
        if not self._reach(offset, 32):
            return None
        self._pop()
        if not isinstance(offset, int):
            return self._push(self._assign(f"from_bytes(memory[{offset}:{offset} + 32])"))
        if offset not in self._known:
            self._known[offset] = self._assign(f"from_bytes(memory[{offset}:{offset + 32}])")
        return self._push(self._known[offset])

    def _mstore(self) -> tuple[int, int] | None:
        offset, value = self._peek(1), self._peek(2)
        if not self._reach(offset, 32):
            return None
        if isinstance(offset, int):
            if self._known.get(offset) != value:
                self._line(f"memory[{offset}:{offset + 32}] = {_word(value)}")
            self._known = {at: word for at, word in self._known.items() if abs(at - offset) >= 32}
            self._known[offset] = value
        else:
            self._line(f"memory[{offset}:{offset} + 32] = {_word(value)}")
            self._known = {}
        del self._stack[-2:]
        return 0, 0

    def _reach(self, offset: Operand, size: int) -> bool:
        """Make memory reach that far, at its price; False where that is left to the single step."""
        if not isinstance(offset, int):
            end = f"{offset} + {size}"
        elif offset + size > MAX_FIXED_OFFSET:
            return False
        elif offset + size <= self._reached:
            return True
        else:
            end = str(offset + size)
            self._reached = (offset + size + 31) // 32 * 32
        grow = f"c = grow(memory, {end}, gas - S)"
        self._block(f"if {end} > len(memory):", grow, *self._exit("c < 0"), "gas -= c")
        return True

    def _keccak(self) -> tuple[int, int]:
        offset, size = self._peek(1), self._peek(2)
        if not isinstance(size, int) or size > MOST_BYTES or (size and not self._reach(offset, size)):
            self._claim(f"6 * (({size} + 31) // 32)", f"{size} >> {KECCAK_SHIFT}", MOST_BYTES >> KECCAK_SHIFT)
            gas, weight = 0, 0
        else:
            gas, weight = 6 * ((size + 31) // 32), size >> KECCAK_SHIFT
        del self._stack[-2:]
        self._push(self._hash(offset, size))
        return gas, weight

    def _hash(self, offset: Operand, size: Operand) -> str:
        if isinstance(offset, int) and size in (32, 64):
            words = [self._known.get(at) for at in range(offset, offset + int(size), 32)]
            if None not in words:
                return self._value(f"hash_words({', '.join(map(str, words))})")
        return self._assign(f"from_bytes(keccak256(bytes({_piece(offset, size)})))")

    def _claim(self, gas: str, units: str, reserve: int) -> None:
        """Pay `gas` and extend memory for the bytes whose offset and size are on top of the stack."""
        offset, size = self._peek(1), self._peek(2)
        self._line(f"c = claim(memory, {offset}, {size}, {gas}, gas - S)", *self._exit("c < 0"))
        self._line("gas -= c", f"units -= {units}")
        self.stretch.reserve += reserve

    def _is_there(self, offset: Operand, size: Operand) -> bool:
        """Tell whether memory holds those bytes for sure."""
        if not isinstance(size, int) or size > MOST_BYTES:
            return False
        return not size or (isinstance(offset, int) and offset + size <= self._reached)

    # State and logs

    def _code_size(self) -> tuple[int, int]:
        account = self._peek(1)
        self._line(f"c = visit(frame, {account}, gas - S)", *self._exit("c < 0"))
        self._line("gas -= c", f"units -= c >> {DYNAMIC_GAS_SHIFT}")
        self.stretch.reserve += tenths(COLD_ACCOUNT_GAS)
        self._pop()
        self._push(self._assign(f"code_size(frame, {account})"))
        return 0, 0

    def _sload(self) -> tuple[int, int]:
        slot = self._pop()
        cold_gas, cold_units = COLD_SLOT_GAS - WARM_GAS, tenths(COLD_SLOT_GAS) - tenths(WARM_GAS)
        if slot not in self._warm:
            self._stack.append(slot)
            self._bind_storage()
            self._block(
                f"if {slot} not in warm:",
                *self._exit(f"gas - {cold_gas} < S"),
                f"warm_slot(frame, {slot})",
                f"gas -= {cold_gas}",
                f"units -= {cold_units}",
            )
            self._stack.pop()
            self._warm.add(slot)
            self.stretch.reserve += cold_units
        self._push(self._assign(f"slots[{slot}]"))
        return WARM_GAS, tenths(WARM_GAS)

    def _bind_storage(self) -> None:
        self._bind("slots", "frame.state.world.slots(frame.address)")
        self._bind("warm", "frame.state.world.warm_slots(frame.address)")

    def _sstore(self) -> tuple[int, int]:
        slot, value = self._peek(1), self._peek(2)
        left = f"gas - {self._prefix[0]}"
        self._bind_storage()
        self._line(f"c = store(frame, slots, warm, {slot}, {value}, {left}, gas - S)", *self._exit("c < 0"))
        self._line("gas -= c", f"units -= c >> {DYNAMIC_GAS_SHIFT}")
        self.stretch.reserve += tenths(MOST_FOR_STORING)
        self._warm.add(slot)
        del self._stack[-2:]
        return 0, 0

    def _log(self, count: int) -> tuple[int, int]:
        self._peek(2 + count)
        offset, size = self._stack[-1], self._stack[-2]
        topics = "".join(f"{_word(topic)}, " for topic in reversed(self._stack[-2 - count : -2]))
        if not self._may_log:
            self._may_log = True
            self._line(*self._exit("frame.msg.is_static"))
        gas = TOPIC_GAS * count
        if self._is_there(offset, size):
            gas += 8 * int(size)
            extra = gas, tenths(gas)
        else:
            self._claim(f"8 * {size} + {gas}", f"c >> {DYNAMIC_GAS_SHIFT}", tenths(MOST_FOR_BYTES))
            extra = 0, 0
        self._line(f"log(frame, ({topics}), {_piece(offset, size)})")
        del self._stack[-2 - count :]
        return extra

    def _return(self) -> tuple[int, int]:
        offset, size = self._peek(1), self._peek(2)
        if not self._is_there(offset, size):
            self._claim("0", "0", 0)  # the step ends the frame before its dynamic gas is counted in units
        self._line(f"frame._output = bytes({_piece(offset, size)})")
        del self._stack[-2:]
        self.ends = True
        return 0, 0


def _word(value: Operand) -> str:
    """Return the expression of a word's bytes."""
    return repr(value.to_bytes(32)) if isinstance(value, int) else f"{value}.to_bytes(32)"


def _piece(offset: Operand, size: Operand) -> str:
    """Return the expression of a piece of memory."""
    end = offset + size if isinstance(offset, int) and isinstance(size, int) else f"{offset} + {size}"
    return f"memory[{offset}:{end}]"
