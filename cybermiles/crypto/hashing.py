"""keccak-256 through eth-hash on safe-pysha3, and sha-256.

The backend is chosen here and not by eth-hash's environment variable: the pure-Python and the pycryptodome
backends give the same bytes up to six times slower, which would make a validator miss its rounds.
"""

from __future__ import annotations

from hashlib import sha256 as _sha256

import sha3
from eth_hash.backends.pysha3 import keccak256 as _keccak256

from cybermiles.errors import ConfigError

_EMPTY = bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")

keccak256 = _keccak256
"""keccak256(data: bytes) -> bytes; 32 bytes. Yellow Paper's KEC."""


def sha256(data: bytes) -> bytes:
    """Return the 32-byte SHA-256 digest."""
    return _sha256(data).digest()


def assert_backend() -> None:
    """Raise ConfigError unless keccak is safe-pysha3's C extension and gives the known answer."""
    if sha3.keccak_256.__module__ != "_pysha3":
        raise ConfigError("keccak-256 does not come from safe-pysha3's C extension; reinstall from the lock file")
    if keccak256(b"") != _EMPTY:
        raise ConfigError("keccak-256 gives wrong results; reinstall from the lock file")
