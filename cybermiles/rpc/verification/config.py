"""What source verification may use. Field names are the configuration keys below `[verify]`; refusals name them."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyLimits:
    """Upper bounds."""

    body_max_bytes: int = 4 * MIB
    """One posted form: all sources of a contract."""
    queue_max: int = 16
    """Submissions that wait; one is worked on at a time."""
    results_max: int = 1_000
    """Outcomes remembered for whoever asks by number."""
    contracts_max: int = 10_000
    """Verified contracts stored; each takes as much disk as its sources."""
    compile_timeout_seconds: int = 60
    """One run of solc."""
    compile_memory_mb: int = 2_048
    """Of one run of solc."""
    compile_output_max_bytes: int = 16 * MIB
    """What one run of solc may answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyConfig:
    """Which compiler recompiles."""

    solc: tuple[str, ...] = ()
    """Command that speaks solc's standard JSON; "{version}" in a word becomes "0.8.30+commit.73712a01", "{short}"
    "0.8.30". Empty: nothing is compiled, and only metadata can be compared."""
    limits: VerifyLimits = VerifyLimits()
