"""How a node's consensus behaves: what the chain prescribes and what its operator chose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cybermiles.consensus.core.timeouts import EngineSettings
    from cybermiles.types.primitives import Hash32


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSettings:
    """How the runner behaves."""

    chain_id: int
    genesis_hash: Hash32
    engine: EngineSettings
    block_interval_ms: int
    """Least time between the starts of two heights. From 1000 on, header times never run ahead of the clock."""
    create_empty_blocks: bool = True
    """False: a height starts only when a transaction or evidence waits, or when others have started it."""
    max_value_bytes: int = 16 * 1024 * 1024
    """Wire size of a block; parts of larger ones are not collected."""
    double_sign_check_heights: int = 10
    """How many stored commits are searched at start for signatures that the signer does not remember."""
