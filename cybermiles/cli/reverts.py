"""Why a contract refused: its own errors by an ABI, the system contracts' in words, Solidity's Error and Panic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cybermiles.cli.contracts import reason_of
from cybermiles.cli.signatures import named, plain, type_of
from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import ConfigError
from cybermiles.system.abi import Entry, parse_abi
from cybermiles.system.codec import MalformedData

if TYPE_CHECKING:
    from collections.abc import Iterable


def explain_revert(data: object, abi: Iterable[Any] | None) -> str | None:
    """Return what revert data (0x text) means, None where there is none."""
    if isinstance(data, str) and abi is not None:
        found = _own_error(bytes.fromhex(data.removeprefix("0x")), abi)
        if found is not None:
            return found
    return reason_of(data)


def _own_error(data: bytes, abi: Iterable[Any]) -> str | None:
    for entry in abi:
        if not isinstance(entry, dict) or entry.get("type") != "error":
            continue
        signature = f"{entry['name']}({','.join(map(type_of, entry['inputs']))})"
        if keccak256(signature.encode())[:4] == data[:4]:
            return _shown(entry, data)
    return None


def _shown(entry: dict[str, Any], data: bytes) -> str | None:
    error = Entry(type="error", name=entry["name"], inputs=plain(entry["inputs"]))
    try:
        values = parse_abi(entry["name"], [error], {}).errors[entry["name"]].inputs.decode(data[4:], 0)[0]
    except (ConfigError, MalformedData):
        return None
    shown = [
        f"{parameter.get('name') or index} {named(parameter, value)}"
        for index, (parameter, value) in enumerate(zip(error["inputs"], values, strict=True))
    ]
    return f"{entry['name']}({', '.join(shown)})"
