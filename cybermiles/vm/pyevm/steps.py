"""What code is translated into: the steps of the dispatch loop."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

Step = tuple[int, int, int, Any]
"""(kind, gas, weight, argument). Any: an integer, a function, or None, as the kind says."""


class Kind(IntEnum):
    """How the loop runs a step, most frequent first."""

    PUSH = 0
    DUP = 1
    SWAP = 2
    POP = 3
    BINARY = 4
    """Two operands, one result, nothing else."""
    JUMPDEST = 5
    JUMPI = 6
    JUMP = 7
    MSTORE = 8
    MLOAD = 9
    UNARY = 10
    CALLED = 11
    """An opcode function on the frame."""
    METERING = 12
    """An opcode function that charges compute units itself, as by running another frame."""
    GAS = 13
    STOP = 14
    GO_ON = 15
    """Runs into a JUMPDEST that is translated already: goes on there. No opcode: costs nothing."""
    INVALID = 16
    STRETCH = 17
    """Several opcodes as one function, in front of them; they run where it cannot. No opcode."""
    COUNT = 18
    """In front of opcodes that become a stretch once they have run often. No opcode."""
    REST = 19
    """What follows is not translated yet, from a program counter on. No opcode."""
