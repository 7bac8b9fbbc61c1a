"""The system contracts as their callers see them: calls to send, and results, events and refusals by name.

For the command line and the RPC server, which talk to the contracts like any wallet. Everything follows from the ABIs.
Values come out as JSON has them, by their Solidity type:

    address        checksummed 0x text         uint256             decimal text, exact in every reader
    bytes, bytesN  0x text                     smaller integers    number
    enum           the member's name           struct              object; arrays are lists
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from cybermiles.chain.predeploys import SYSTEM_CONTRACTS
from cybermiles.chain.reading import checksum
from cybermiles.system.abi import load_abi, load_document
from cybermiles.system.codec import MalformedData
from cybermiles.system.errors import INTERFACES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cybermiles.system.abi import Entry, Event, Parameter
    from cybermiles.types.primitives import Address
    from cybermiles.types.receipt import Log

Named: TypeAlias = "bool | int | str | list[Named] | dict[str, Named] | None"
STAKING_ABI, SLASHING_ABI, GOVERNANCE_ABI, VESTING_ABI, FEES_ABI = INTERFACES
ADDRESSES = dict(zip(INTERFACES, SYSTEM_CONTRACTS, strict=True))
_NUMBER_BITS = 64
"""Larger integers are text. What has 64 bits counts blocks, seconds or votes, and stays far under 2^53."""


class SystemCall(NamedTuple):
    """What a transaction to a system contract says."""

    to: Address
    data: bytes
    value: int
    """Wei."""


class NamedEvent(NamedTuple):
    """One event of a system contract."""

    contract: str
    name: str
    arguments: dict[str, Named]


class NamedRefusal(NamedTuple):
    """One custom error of a system contract."""

    name: str
    arguments: dict[str, Named]


def call_of(interface: str, function: str, *arguments: object, value: int = 0) -> SystemCall:
    """Return a call of a function, arguments as the codec takes them. Raises EncodingError."""
    data = load_abi(interface).functions[function].encode_call(*arguments)
    return SystemCall(ADDRESSES[interface], data, value)


def read_output(interface: str, function: str, output: bytes) -> Named:
    """Return the result of a function: the value of one, an object of several. Raises MalformedData."""
    values = load_abi(interface).functions[function].decode_output(output)
    parameters, enums = _entry(interface, function)["outputs"], load_document(interface)["enums"]
    if len(parameters) == 1:
        return _named(parameters[0], values[0], enums)
    return _object(parameters, values, enums)


def read_events(logs: Iterable[Log]) -> list[NamedEvent]:
    """Return the events of the system contracts among logs, in order."""
    return [event for log in logs if (event := _read_event(log)) is not None]


def read_refusal(data: bytes) -> NamedRefusal | None:
    """Return the custom error in revert data, None where it is none of the system contracts'."""
    found = _errors_by_selector().get(data[:4])
    if found is None:
        return None
    interface, name = found
    try:
        values = load_abi(interface).errors[name].inputs.decode(data[4:], 0)[0]
    except MalformedData:
        return None
    return NamedRefusal(name, _object(_entry(interface, name)["inputs"], values, load_document(interface)["enums"]))


@cache
def _errors_by_selector() -> dict[bytes, tuple[str, str]]:
    return {
        error.selector: (interface, name)
        for interface in reversed(INTERFACES)
        for name, error in load_abi(interface).errors.items()
    }


@cache
def _entries(interface: str) -> dict[str, Entry]:
    return {entry["name"]: entry for entry in load_document(interface)["abi"]}


def _entry(interface: str, name: str) -> Entry:
    return _entries(interface)[name]


@cache
def _events_by_topic(interface: str) -> dict[bytes, Event]:
    return {event.topic: event for event in load_abi(interface).events.values()}


def _read_event(log: Log) -> NamedEvent | None:
    for interface, address in ADDRESSES.items():
        if address == log.address and log.topics:
            event = _events_by_topic(interface).get(log.topics[0])
            if event is None:
                return None
            return NamedEvent(interface, event.name, _event_arguments(interface, event, log))
    return None


def _event_arguments(interface: str, event: Event, log: Log) -> dict[str, Named]:
    data, topics = iter(event.data.decode(log.data, 0)[0]), iter(log.topics[1:])
    values = [codec.decode(next(topics), 0)[0] if indexed else next(data) for codec, indexed in event.inputs]
    return _object(_entry(interface, event.name)["inputs"], values, load_document(interface)["enums"])


def _object(
    parameters: Sequence[Parameter], values: Sequence[object], enums: Mapping[str, Sequence[str]]
) -> dict[str, Named]:
    return {
        parameter["name"].rstrip("_"): _named(parameter, value, enums)
        for parameter, value in zip(parameters, values, strict=True)
    }


def _named(parameter: Parameter, value: object, enums: Mapping[str, Sequence[str]]) -> Named:
    kind, inside = parameter["type"], parameter.get("internalType", "")
    if kind.endswith("]"):
        item: Parameter = {**parameter, "type": kind.rpartition("[")[0], "internalType": inside.rpartition("[")[0]}
        return [_named(item, entry, enums) for entry in cast("Sequence[object]", value)]
    if kind == "tuple":
        return _object(parameter["components"], cast("Sequence[object]", value), enums)
    if inside.startswith("enum "):
        return enums[inside.removeprefix("enum ")][cast("int", value)]
    return _word(kind, value)


def _word(kind: str, value: object) -> Named:
    match value:
        case bytes():
            return checksum(value) if kind == "address" else "0x" + value.hex()
        case bool() | str():
            return value
        case int():
            return value if int(kind.lstrip("uint")) <= _NUMBER_BITS else str(value)
        case _:
            raise TypeError(f"{kind} is not a type of the ABIs")
