"""What a candidate is, and what it can be guilty of: the members of the ABIs' enums."""

from __future__ import annotations

from enum import IntEnum


class Role(IntEnum):
    """`ICmtStaking.Role`."""

    NONE = 0
    CANDIDATE = 1
    BACKUP = 2
    VALIDATOR = 3
    EXITING = 4


class Fault(IntEnum):
    """`ICmtSlashing.Fault`."""

    NONE = 0
    ABSENCE = 1
    DOUBLE_VOTE = 2
