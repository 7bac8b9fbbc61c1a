"""Does this code come from these sources? Compiled code against what is on the chain.

    full      code and metadata hash are equal: the sources are the deployed ones to the last comment
    partial   the code is equal, the metadata hash is not (or there is none): names and comments may differ
    metadata  nothing was compiled: the deployed code names the hash of the submitted metadata, which names the
              sources. Whoever deployed the code may have put any hash behind it, so this is a claim and no proof

What is filled in at deployment is left out of the comparison: immutables, and a library's own address.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from cybermiles.errors import CybermilesError
from cybermiles.rpc.verification.metadata import trailer_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_LIBRARY_GUARD = b"\x73" + bytes(20) + b"\x30\x14"
"""PUSH20 0, ADDRESS, EQ: how a library's code begins before it is deployed."""


class Mismatch(CybermilesError):
    """The sources are not what the contract was compiled from; the message says what differs."""


class Match(StrEnum):
    """How sure it is."""

    FULL = "full"
    PARTIAL = "partial"
    METADATA = "metadata"

    @property
    def rank(self) -> int:
        """Higher is surer."""
        return (Match.METADATA, Match.PARTIAL, Match.FULL).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What solc makes of one contract of the sources."""

    creation: bytes
    runtime: bytes
    immutables: tuple[tuple[int, int], ...]
    """Start and length in the runtime code."""
    abi: Sequence[object]
    compiler: str
    """As "0.8.30+commit.73712a01"."""


@dataclass(frozen=True, slots=True)
class OnChain:
    """The deployed contract."""

    runtime: bytes
    creation: bytes | None
    """Data of the transaction that created it; None where that is not known, or another contract created it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found."""

    match: Match
    arguments: bytes
    """Of the constructor, ABI-encoded."""
    is_creation_checked: bool
    """Whether the creation code was compared too, and with it the arguments."""


def compare(compiled: Compiled, chain: OnChain, arguments: bytes) -> Verdict:
    """Return how sure it is that the contract is the compiled one. Raises Mismatch."""
    match = _compare_runtime(compiled, chain.runtime)
    if chain.creation is None:
        return Verdict(match=match, arguments=arguments, is_creation_checked=False)
    found = _arguments(compiled, chain, match)
    if found != arguments:
        raise Mismatch(f"the constructor arguments are not those of the deployment, which are 0x{found.hex()}")
    return Verdict(match=match, arguments=found, is_creation_checked=True)


def _compare_runtime(compiled: Compiled, runtime: bytes) -> Match:
    ours, theirs = _masked(compiled, compiled.runtime), _masked(compiled, runtime)
    trailer = trailer_of(compiled.runtime)
    if ours == theirs:
        return Match.FULL if trailer is not None and trailer.binds_sources else Match.PARTIAL
    deployed = trailer_of(runtime)
    ours = ours[: len(ours) - (0 if trailer is None else trailer.size)]
    theirs = theirs[: len(theirs) - (0 if deployed is None else deployed.size)]
    if ours == theirs:
        return Match.PARTIAL
    if len(ours) != len(theirs):
        raise Mismatch(
            f"the compiled code has {len(ours)} bytes, the deployed code {len(theirs)}: compare compiler version, "
            "optimizer, evmVersion, viaIR and libraries with those of the deployment"
        )
    place = next(at for at, (one, other) in enumerate(zip(ours, theirs, strict=True)) if one != other)
    raise Mismatch(f"the compiled code differs from the deployed code from byte {place} on")


def _masked(compiled: Compiled, code: bytes) -> bytes:
    """Return the code with zeros for what deployment fills in."""
    masked = bytearray(code)
    for start, length in compiled.immutables:
        if start + length <= len(masked):
            masked[start : start + length] = bytes(length)
    if compiled.runtime.startswith(_LIBRARY_GUARD) and len(masked) > 21:
        masked[1:21] = bytes(20)
    return bytes(masked)


def _arguments(compiled: Compiled, chain: OnChain, match: Match) -> bytes:
    """Return what stands behind the creation code. Raises Mismatch where the deployment ran other creation code."""
    ours, theirs = compiled.creation, chain.creation or b""
    size, deployed_size = len(ours), len(ours)
    if match is not Match.FULL:
        trailer, deployed = trailer_of(compiled.runtime), trailer_of(chain.runtime)
        size -= 0 if trailer is None else trailer.size
        deployed_size = size + (0 if deployed is None else deployed.size)
    if ours[:size] != theirs[:size]:
        raise Mismatch("the runtime code is equal, but the deployment ran another constructor")
    return theirs[deployed_size:]
