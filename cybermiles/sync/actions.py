"""What the policy of block sync is given and what it wants done. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from cybermiles.types.commit import Commit


class Fault(Enum):
    """Why a peer is dropped."""

    LYING = "lying"
    """It claimed what is not so."""
    WRONG_BLOCK = "wrong block"
    """Its block or commit was refused."""
    UNSOLICITED = "unsolicited block"
    """Nobody had asked it for that."""
    UNRESPONSIVE = "unresponsive"
    """Too slow or silent."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Request a block."""

    peer: str
    height: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Disconnect a peer; the policy has forgotten it already."""

    peer: str
    fault: Fault
    reason: str


Action: TypeAlias = Ask | Drop


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncLimits:
    """Bounds and patience."""

    requests_per_peer: int = 20
    window: int = 500
    """Heights ahead of the applied one that are asked for."""
    buffer_bytes: int = 64 * 1024 * 1024
    """Of blocks that wait, and of those asked for at the size that blocks have had lately."""
    silence_ms: int = 10_000
    """How long a peer that owes blocks may deliver none."""
    max_silences: int = 3
    """In a row, or of single blocks left out, before the peer is dropped."""
    late_ms: int = 2_000
    """After which the block that everything waits for is asked for elsewhere too."""
    min_bytes_per_second: int = 8 * 1024
    """Of a peer that owes many blocks, while others could deliver them."""
    tip_grace_ms: int = 1_000
    """How long consensus may take for a single height that others have decided."""
    stall_ms: int = 10_000
    """Without an applied block for so long, this node is not catching up, whatever peers claim."""


@dataclass(frozen=True, slots=True)
class SuppliedBlock:
    """A block and its commit, unverified, and who is to blame for them."""

    height: int
    peer: str
    value: bytes
    commit: Commit
