"""What `hardhat verify` and `forge verify-contract` post, read and checked.

Sources come as solc's standard JSON input with their text inside: a source that solc would read from a file or an
address is refused, because the file would be this machine's. What starts other programs or changes nothing in the
code is taken out of the settings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from cybermiles.chain.reading import Field
from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import ConfigError, CybermilesError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cybermiles.types.primitives import Address

STANDARD_JSON = "solidity-standard-json-input"
_VERSION = re.compile(r"v?([0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?:\+commit\.[0-9a-f]{8})?)(?:[.+-][0-9A-Za-z.+-]{1,40})?")
_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,127}")
_DROPPED_SETTINGS = ("modelChecker", "stopAfter", "outputSelection")
_MAX_SOURCES = 1_000
_MAX_NAME_CHARACTERS = 500


class Refused(CybermilesError):
    """A request cannot be worked on; the message says what it must be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Sources that claim to be a contract's."""

    address: Address
    source: dict[str, Any]
    """solc's standard JSON input; every source has `content`."""
    path: str
    """Source unit of the contract."""
    name: str
    compiler: str
    """As "0.8.30+commit.73712a01", or "0.8.30"."""
    arguments: bytes
    """Of the constructor, ABI-encoded."""
    metadata: str | None
    """solc's metadata document of the contract, where the sender has it: for nodes that do not compile."""


def parse_submission(form: Mapping[str, str]) -> Submission:
    """Return what was posted. Raises Refused."""
    kind = form.get("codeformat", "")
    if kind != STANDARD_JSON:
        raise Refused(f"codeformat {kind[:40]!r} is not taken; submit {STANDARD_JSON}")
    path, _, name = form.get("contractname", "").rpartition(":")
    if not _NAME.fullmatch(name) or len(path) > _MAX_NAME_CHARACTERS:
        raise Refused('contractname is the source and the contract in it, such as "contracts/Token.sol:Token"')
    version = _VERSION.fullmatch(form.get("compilerversion", ""))
    if version is None:
        raise Refused('compilerversion is solc\'s long version, such as "v0.8.30+commit.73712a01"')
    source = _source(form.get("sourceCode", ""))
    return Submission(
        address=parse_address(form, "contractaddress"),
        source=source,
        path=path or _path_of(source, name),
        name=name,
        compiler=version[1],
        arguments=_arguments(form),
        metadata=form.get("metadata") or None,
    )


def parse_address(form: Mapping[str, str], name: str) -> Address:
    """Return the contract asked about. Raises Refused."""
    try:
        return Field(form.get(name, ""), name).address()
    except ConfigError as error:
        raise Refused(str(error)) from error


def source_hashes(source: Mapping[str, Any]) -> dict[str, str]:
    """Return every source's path with the hash that metadata has of it, 0x and 64 hex digits."""
    return {path: "0x" + keccak256(unit["content"].encode()).hex() for path, unit in source["sources"].items()}


def _source(text: str) -> dict[str, Any]:
    text = text.strip()
    if text.startswith("{{") and text.endswith("}}"):  # Etherscan's own way of writing it
        text = text[1:-1]
    try:
        source = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refused(f"sourceCode is not solc's standard JSON input: {error}") from error
    if not isinstance(source, dict) or source.get("language") != "Solidity":
        raise Refused('sourceCode is not solc\'s standard JSON input with "language": "Solidity"')
    units, settings = source.get("sources"), source.get("settings", {})
    if not isinstance(units, dict) or not 0 < len(units) <= _MAX_SOURCES or not isinstance(settings, dict):
        raise Refused(f"sourceCode has no object of 1 to {_MAX_SOURCES} sources, or no object of settings")
    for path, unit in units.items():
        if not isinstance(unit, dict) or not isinstance(unit.get("content"), str):
            raise Refused(f"source {path[:100]!r} has no text in it; sources are not fetched from anywhere")
    kept = {
        "language": "Solidity",
        "sources": {path: {"content": unit["content"]} for path, unit in units.items()},
        "settings": {name: value for name, value in settings.items() if name not in _DROPPED_SETTINGS},
    }
    try:
        orjson.dumps([[kept]])  # as deep as it stands in any document of ours
    except orjson.JSONEncodeError as error:
        raise Refused("sourceCode is nested too deep") from error
    return kept


def _path_of(source: dict[str, Any], name: str) -> str:
    """Return the source of a contract that was named alone. Raises Refused where several may be meant."""
    units: dict[str, dict[str, str]] = source["sources"]
    declared = re.compile(rf"\b(?:contract|library)\s+{re.escape(name)}\b")
    found = [path for path, unit in units.items() if declared.search(unit["content"])]
    if len(found) != 1:
        raise Refused(f'{len(found)} sources have a contract {name}; contractname says which: "PATH:{name}"')
    return found[0]


def _arguments(form: Mapping[str, str]) -> bytes:
    """Return the constructor's arguments; the API's own name for them is misspelt."""
    text = form.get("constructorArguements") or form.get("constructorArguments") or ""
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise Refused("constructorArguements is not hexadecimal") from error
