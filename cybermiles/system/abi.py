"""A contract's ABI as solc wrote it: selectors and codecs of its functions, events and errors.

The JSON files beside this module are compiled from the Solidity interfaces in `system/sol`; nothing about a method,
its arguments or its mutability is said a second time in Python.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import ConfigError
from cybermiles.system import codec as codecs
from cybermiles.system.codec import EncodingError, Struct
from cybermiles.types.primitives import Hash32

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cybermiles.system.codec import Codec

_FOLDER = Path(__file__).parent / "abi"
_ARRAY = re.compile(r"(.*)\[([0-9]*)\]")
_SIZED = re.compile(r"(uint|int|bytes)([0-9]+)")


class Parameter(TypedDict, total=False):
    """An argument, a result or a struct's field, in solc's words."""

    name: str
    type: str
    internalType: str
    components: list[Parameter]
    indexed: bool


class Entry(TypedDict, total=False):
    """A function, event or error, in solc's words."""

    type: str
    name: str
    inputs: list[Parameter]
    outputs: list[Parameter]
    stateMutability: str


class AbiDocument(TypedDict):
    """One file of `system/abi`."""

    contractName: str
    abi: list[Entry]
    enums: dict[str, list[str]]
    """Qualified name, as `ICmtStaking.Role`, to its members."""


class Mutability(StrEnum):
    """What a function may do; the values are the ABI's."""

    PURE = "pure"
    VIEW = "view"
    NONPAYABLE = "nonpayable"
    PAYABLE = "payable"

    @property
    def writes(self) -> bool:
        """Whether it may change state."""
        return self in (Mutability.NONPAYABLE, Mutability.PAYABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function."""

    name: str
    signature: str
    selector: bytes
    """The signature hash's first 4 bytes."""
    mutability: Mutability
    parameters: tuple[str, ...]
    """Names of the arguments."""
    inputs: Struct
    outputs: Struct
    output_count: int

    def encode_call(self, *arguments: object) -> bytes:
        """Return the calldata. Raises EncodingError."""
        return self.selector + self.inputs.encode(arguments)

    def decode_arguments(self, calldata: bytes) -> tuple[object, ...]:
        """Return the arguments behind the selector. Raises MalformedData."""
        return self.inputs.decode(calldata[4:], 0)[0]

    def encode_output(self, value: object) -> bytes:
        """Return the output for None (no result), a value (one) or a tuple of results. Raises EncodingError."""
        if self.output_count == 1:
            return self.outputs.encode((value,))
        return self.outputs.encode(() if value is None else value)

    def decode_output(self, data: bytes) -> tuple[object, ...]:
        """Return the results, however many there are, as a tuple. Raises MalformedData."""
        return self.outputs.decode(data, 0)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event."""

    name: str
    signature: str
    topic: Hash32
    """Hash of the signature: the first topic."""
    inputs: tuple[tuple[Codec, bool], ...]
    """Codec and whether it is indexed, in order of declaration."""
    data: Struct
    """What is not indexed."""

    def encode(self, arguments: Sequence[object]) -> tuple[tuple[Hash32, ...], bytes]:
        """Return topics and data. Raises EncodingError."""
        if len(arguments) != len(self.inputs):
            raise EncodingError(f"{self.signature} with {len(arguments)} arguments")
        topics, data = [self.topic], []
        for (codec, indexed), value in zip(self.inputs, arguments, strict=True):
            if indexed:
                topics.append(Hash32(codec.encode(value)))
            else:
                data.append(value)
        return tuple(topics), self.data.encode(tuple(data))


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomError:
    """One custom error."""

    name: str
    signature: str
    selector: bytes
    inputs: Struct

    def encode(self, arguments: Sequence[object]) -> bytes:
        """Return the revert data. Raises EncodingError."""
        return self.selector + self.inputs.encode(tuple(arguments))


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractAbi:
    """One interface."""

    name: str
    functions: dict[str, Function]
    events: dict[str, Event]
    errors: dict[str, CustomError]


@cache
def load_abi(name: str) -> ContractAbi:
    """Return the interface with this name, as `ICmtStaking`. Raises ConfigError where the package has none."""
    document = load_document(name)
    return parse_abi(name, document["abi"], document["enums"])


@cache
def load_document(name: str) -> AbiDocument:
    """Return the interface's file, which also names what codecs do not need. Raises ConfigError as `load_abi` does."""
    path = _FOLDER / f"{name}.json"
    if not path.exists():
        raise ConfigError(f"the ABI of {name} is missing; reinstall the package")
    document: AbiDocument = json.loads(path.read_bytes())
    return document


def parse_abi(name: str, entries: Sequence[Entry], enums: Mapping[str, Sequence[str]]) -> ContractAbi:
    """Return an interface from solc's ABI entries and the members of the enums it names.

    Raises ConfigError for overloaded names, an unknown type, and for an indexed argument that is not one word.
    """
    functions: dict[str, Function] = {}
    events: dict[str, Event] = {}
    errors: dict[str, CustomError] = {}
    for entry in entries:
        kind, own = entry["type"], entry["name"]
        if own in functions or own in events or own in errors:
            raise ConfigError(f"{name} has more than one {own}")
        signature = f"{own}({','.join(map(_canonical, entry['inputs']))})"
        if kind == "function":
            functions[own] = _function(entry, signature, enums)
        elif kind == "event":
            events[own] = _event(entry, signature, enums)
        elif kind == "error":
            selector = keccak256(signature.encode())[:4]
            inputs = _sequence(entry["inputs"], enums)
            errors[own] = CustomError(name=own, signature=signature, selector=selector, inputs=inputs)
        else:
            raise ConfigError(f"{name} has a {kind}, which interfaces do not have")
    return ContractAbi(name=name, functions=functions, events=events, errors=errors)


def _function(entry: Entry, signature: str, enums: Mapping[str, Sequence[str]]) -> Function:
    return Function(
        name=entry["name"],
        signature=signature,
        selector=keccak256(signature.encode())[:4],
        mutability=Mutability(entry["stateMutability"]),
        parameters=tuple(parameter["name"] for parameter in entry["inputs"]),
        inputs=_sequence(entry["inputs"], enums),
        outputs=_sequence(entry["outputs"], enums),
        output_count=len(entry["outputs"]),
    )


def _event(entry: Entry, signature: str, enums: Mapping[str, Sequence[str]]) -> Event:
    inputs = tuple((_codec(parameter, enums), parameter["indexed"]) for parameter in entry["inputs"])
    if any(indexed and (codec.is_dynamic or codec.size != 32) for codec, indexed in inputs):
        raise ConfigError(f"{signature} indexes an argument that is not one word")
    return Event(
        name=entry["name"],
        signature=signature,
        topic=Hash32(keccak256(signature.encode())),
        inputs=inputs,
        data=Struct([codec for codec, indexed in inputs if not indexed]),
    )


def _canonical(parameter: Parameter) -> str:
    kind = parameter["type"]
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(map(_canonical, parameter['components']))}){kind[5:]}"


def _sequence(parameters: Sequence[Parameter], enums: Mapping[str, Sequence[str]]) -> Struct:
    return Struct([_codec(parameter, enums) for parameter in parameters])


def _codec(parameter: Parameter, enums: Mapping[str, Sequence[str]]) -> Codec:
    kind, inside = parameter["type"], parameter.get("internalType", "")
    array = _ARRAY.fullmatch(kind)
    if array is not None:
        item = _codec({**parameter, "type": array[1], "internalType": inside.rpartition("[")[0]}, enums)
        if array[2] == "0":
            raise ConfigError(f"{kind} has no items")
        return codecs.Array(item, int(array[2]) if array[2] else None)
    if kind == "tuple":
        return _sequence(parameter["components"], enums)
    if inside.startswith("enum "):
        return codecs.Unsigned(len(enums[inside.removeprefix("enum ")]) - 1)
    return _elementary(kind)


def _elementary(kind: str) -> Codec:
    match kind:
        case "address":
            return codecs.AddressWord()
        case "bool":
            return codecs.Boolean()
        case "bytes":
            return codecs.Bytes()
        case "string":
            return codecs.Text()
    sized = _SIZED.fullmatch(kind)
    if sized is None:
        raise ConfigError(f"ABI type {kind} is not supported")
    size = int(sized[2])
    match sized[1]:
        case "uint":
            return codecs.Unsigned((1 << size) - 1)
        case "int":
            return codecs.Signed(size)
        case _:
            return codecs.FixedBytes(size)
