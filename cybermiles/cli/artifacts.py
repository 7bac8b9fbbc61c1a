"""What compilers leave behind, whichever tool ran them.

Hardhat          artifacts/contracts/Token.sol/Token.json   sources from artifacts/build-info
Foundry          out/Token.sol/Token.json                   sources from the project's directory
solc             the answer to --standard-json              --contract says which
plain            Token.bin, with Token.abi beside it        or 0x and hex digits instead of a file
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cybermiles.cli.output import CommandError

_FORMATS = "an artifact of Hardhat or Foundry, solc's standard JSON output, a .bin file, or 0x and hex digits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One compiled contract; what its format does not say is None."""

    name: str
    creation: str
    """Hex digits; with __$…$__ in it where libraries are not linked."""
    abi: list[Any] | None = None
    path: str | None = None
    """Source unit in the compiler's input."""
    compiler: str | None = None
    """Long version."""
    metadata: str | None = None
    input: dict[str, Any] | None = None
    """solc's standard JSON input."""

    @property
    def code(self) -> bytes:
        """Creation code. Raises CommandError where there is none to deploy, or libraries are missing."""
        if not self.creation:
            raise CommandError(f"{self.name} has no code: an interface or an abstract contract")
        try:
            return bytes.fromhex(self.creation)
        except ValueError as error:
            raise CommandError(f"{self.name} uses libraries that are not linked; link it with its compiler") from error


def read_artifact(source: str, contract: str | None = None) -> Artifact:
    """Return the contract in a file or in hex digits. Raises CommandError saying what can be read."""
    if source.startswith("0x"):
        return Artifact(name="the contract", creation=source[2:])
    path = Path(source)
    text = _text(path)
    if path.suffix in (".bin", ".hex"):
        beside = path.with_suffix(".abi")
        return Artifact(
            name=path.stem,
            creation=text.strip().removeprefix("0x"),
            abi=_json(beside, _text(beside)) if beside.exists() else None,
        )
    document = _json(path, text)
    match document:
        case {"contracts": dict()} | {"output": {"contracts": dict()}}:
            return _of_solc(document, contract, path)
        case {"bytecode": {"object": str(code)}, "abi": list(abi)}:
            return _of_foundry(document, code, abi, path)
        case {"bytecode": str(code), "abi": list(abi)}:
            return _of_hardhat(document, code, abi, path)
        case _:
            raise CommandError(f"{path} is not {_FORMATS}")


def read_abi(path: str) -> list[Any]:
    """Return the ABI of an .abi file or an artifact. Raises CommandError."""
    document = _json(Path(path), _text(Path(path)))
    abi = document.get("abi") if isinstance(document, dict) else document
    if not isinstance(abi, list):
        raise CommandError(f"{path} has no ABI")
    return abi


def _of_solc(document: dict[str, Any], contract: str | None, path: Path) -> Artifact:
    contracts = document.get("output", document)["contracts"]
    known = {f"{unit}:{name}": (unit, name) for unit, names in contracts.items() for name in names}
    wanted = [key for key in known if contract is None or key == contract or key.endswith(f":{contract}")]
    if len(wanted) != 1:
        raise CommandError(
            f"{path} has {len(wanted)} such contracts; name one with --contract: {', '.join(known)[:500]}"
        )
    unit, name = known[wanted[0]]
    found = contracts[unit][name]
    return Artifact(
        name=name,
        path=unit,
        creation=found.get("evm", {}).get("bytecode", {}).get("object", ""),
        abi=found.get("abi"),
        metadata=found.get("metadata"),
        compiler=document.get("solcLongVersion") or _compiler_in(found.get("metadata")),
        input=document.get("input"),
    )


def _of_hardhat(document: dict[str, Any], code: str, abi: list[Any], path: Path) -> Artifact:
    name = str(document.get("contractName", path.stem))
    unit = document.get("inputSourceName") or document.get("sourceName")
    build = _hardhat_build(document, path)
    output = build.get("output", {}).get("contracts", {}).get(unit, {}).get(name, {})
    return Artifact(
        name=name,
        path=unit,
        creation=code.removeprefix("0x"),
        abi=abi,
        metadata=output.get("metadata"),
        compiler=build.get("solcLongVersion") or _compiler_in(output.get("metadata")),
        input=build.get("input"),
    )


def _hardhat_build(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the build that an artifact came from, {} where it is not beside it."""
    number = document.get("buildInfoId")
    if number is not None:
        for folder in path.absolute().parents:
            build = folder / "build-info" / f"{number}.json"
            if build.exists():
                output = build.with_name(f"{number}.output.json")
                answered = _json(output, _text(output)) if output.exists() else {}
                return {**_json(build, _text(build)), "output": answered.get("output", {})}
    pointer = path.with_suffix(".dbg.json")
    if pointer.exists():
        build = (path.parent / str(_json(pointer, _text(pointer)).get("buildInfo", ""))).resolve()
        return dict(_json(build, _text(build)))
    return {}


def _of_foundry(document: dict[str, Any], code: str, abi: list[Any], path: Path) -> Artifact:
    metadata = document.get("rawMetadata")
    described = document.get("metadata") or (json.loads(metadata) if metadata else {})
    settings = dict(described.get("settings", {}))
    target = settings.pop("compilationTarget", {})
    unit, name = next(iter(target.items()), (None, path.stem))
    version = described.get("compiler", {}).get("version")
    return Artifact(
        name=str(name),
        path=unit,
        creation=code.removeprefix("0x"),
        abi=abi,
        metadata=metadata,
        compiler=version,
        input=_rebuilt_input(described, settings, path) if target else None,
    )


def _rebuilt_input(described: dict[str, Any], settings: dict[str, Any], path: Path) -> dict[str, Any] | None:
    """Return the compiler's input, made of metadata and the project's files; None where a file is not there."""
    units = described.get("sources", {})
    root = next((folder for folder in path.absolute().parents if all((folder / unit).exists() for unit in units)), None)
    if root is None:
        return None
    libraries: dict[str, dict[str, str]] = {}
    for place, address in settings.pop("libraries", {}).items():
        unit, _, name = place.rpartition(":")
        libraries.setdefault(unit, {})[name] = address
    return {
        "language": described.get("language", "Solidity"),
        "sources": {unit: {"content": _text(root / unit)} for unit in units},
        "settings": {**settings, "libraries": libraries},
    }


def _compiler_in(metadata: str | None) -> str | None:
    version = json.loads(metadata)["compiler"]["version"] if metadata else None
    return None if version is None else str(version)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not text; needed is {_FORMATS}") from error


def _json(path: Path, text: str) -> Any:  # noqa: ANN401  (any JSON value)
    try:
        return json.loads(text)
    except ValueError as error:
        raise CommandError(f"{path} is not JSON; needed is {_FORMATS}") from error
