"""KZG proofs of EIP-4844 for the point-evaluation precompile, through `ckzg`."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import ckzg

if TYPE_CHECKING:
    from pathlib import Path

VERSION = b"\x01"


def versioned_hash(commitment: bytes) -> bytes:
    """Return the 32 bytes by which transactions name a commitment."""
    return VERSION + sha256(commitment).digest()[1:]


def verify(setup_file: Path, commitment: bytes, z: bytes, y: bytes, proof: bytes) -> bool:
    """Tell whether the committed polynomial has the value y at z; False for any bad value.

    Points have 48 bytes, z and y 32. The file's ceremony points are read once in a process, which takes over a second.
    """
    try:
        return bool(ckzg.verify_kzg_proof(commitment, z, y, proof, _setup(setup_file)))
    except RuntimeError:  # no point of the curve, or a number over the modulus
        return False


@cache
def _setup(file: Path) -> Any:  # noqa: ANN401  (ckzg is untyped)
    return ckzg.load_trusted_setup(str(file), 0)
