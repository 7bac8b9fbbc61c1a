"""Verified sources on disk: HOME/verified/ADDRESS.json, one file a contract, replaced as a whole.

They are about code, not about addresses for ever: a file whose code hash is not the contract's now (another chain in
the same home, a contract that was made anew) counts as absent.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import orjson

from cybermiles.errors import CybermilesError
from cybermiles.rpc.verification.comparison import Match

if TYPE_CHECKING:
    from pathlib import Path

    from cybermiles.types.primitives import Address

_FORMAT = 1


class StoreFull(CybermilesError):
    """No more contracts are stored; the message names the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of one contract."""

    code_hash: str
    """keccak256 of the runtime code, 0x and 64 hex digits."""
    match: Match
    path: str
    """Source unit of the contract."""
    name: str
    compiler: str
    source: dict[str, Any]
    """solc's standard JSON input."""
    abi: list[Any]
    arguments: str
    """Of the constructor, hex digits."""
    is_creation_checked: bool
    verified_ms: int
    """Milliseconds since 1970."""


class VerifiedStore:
    """The directory. Its methods block: they are called in a thread."""

    def __init__(self, directory: Path, *, contracts_max: int) -> None:
        self._directory = directory
        self._contracts_max = contracts_max

    def load(self, address: Address, code_hash: str) -> Record | None:
        """Return what is stored of a contract with this code. Raises CybermilesError for a damaged file."""
        path = self._path(address)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            values = orjson.loads(content)
            is_ours = values.pop("format") == _FORMAT
            record = Record(**values | {"match": Match(values["match"])}) if is_ours else None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CybermilesError(f"{path.name} among the verified contracts is damaged; delete it") from error
        return None if record is None or record.code_hash != code_hash else record

    def save(self, address: Address, record: Record) -> None:
        """Write a contract's file. Raises StoreFull where one more would be too many."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(address)
        if not path.exists() and len(list(self._directory.glob("0x*.json"))) >= self._contracts_max:
            raise StoreFull(f"{self._contracts_max} contracts are stored (verify.contracts_max)")
        temporary = path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(orjson.dumps({"format": _FORMAT, **asdict(record)}))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    def _path(self, address: Address) -> Path:
        return self._directory / f"0x{address.hex()}.json"
