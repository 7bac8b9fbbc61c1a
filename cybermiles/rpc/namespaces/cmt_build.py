"""`cmt_build…`: what to sign for each function of the system contracts that changes something.

One method for each: `delegate(address validator)` is `cmt_buildDelegate`, with one object as its argument:

    {"from": "0x…", "value": "0x…", "validator": "0x…"}  ─►  {"from", "to", "data", "value", "gas"}

Its keys are the function's parameters as the ABI names them, `from`, and `value` (wei) where the function takes coins.
The answer suits `eth_sendTransaction` of a wallet. Where the contract would refuse, its reason is the error.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from cybermiles.chain.reading import nearest
from cybermiles.errors import ConfigError
from cybermiles.rpc.methods import Method, Param
from cybermiles.rpc.quantities import (
    encode_checksummed,
    encode_data,
    parse_address,
    parse_bool,
    parse_data,
    parse_quantity,
)
from cybermiles.system.abi import Mutability, load_abi, load_document
from cybermiles.system.codec import EncodingError
from cybermiles.system.errors import INTERFACES
from cybermiles.system.interface import ADDRESSES, SystemCall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.system_reader import SystemReader
    from cybermiles.system.abi import Entry, Parameter
    from cybermiles.types.primitives import Address

T = TypeVar("T")

WEIGHT = 10
_ARRAY = re.compile(r"(.*)\[\]")
_EXACT = 2**53
"""JSON's numbers are exact up to here; larger integers are quantities."""


class Draft(NamedTuple):
    """What a builder was asked for."""

    sender: Address
    call: SystemCall


class CmtBuild:
    """The cmt namespace's builders of transactions."""

    def __init__(self, reader: SystemReader) -> None:
        self._reader = reader

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        return tuple(
            Method(
                name=f"cmt_build{entry['name'][0].upper()}{entry['name'][1:]}",
                handler=self.build,
                params=(Param(partial(_parse_draft, interface, entry), schema=_draft_schema(entry)),),
                weight=WEIGHT,
            )
            for interface in INTERFACES
            for entry in load_document(interface)["abi"]
            if entry["type"] == "function" and Mutability(entry["stateMutability"]).writes
        )

    async def build(self, draft: Draft) -> Json:
        """Return the transaction to sign."""
        gas = await self._reader.estimate(draft.sender, draft.call)
        return {
            "from": encode_checksummed(draft.sender),
            "to": encode_checksummed(draft.call.to),
            "data": encode_data(draft.call.data),
            "value": hex(draft.call.value),
            "gas": hex(gas),
        }


def _parse_draft(interface: str, entry: Entry, value: Json) -> Draft:
    """Return the call that an object describes. Raises ValueError that names the key."""
    fields = _object(value, _keys(entry))
    sender = _field(fields, "from", parse_address)
    coins = _field(fields, "value", parse_quantity) if "value" in fields else 0
    arguments = tuple(
        _field(fields, _key(parameter), partial(_argument, parameter, load_document(interface)["enums"]))
        for parameter in entry["inputs"]
    )
    try:
        data = load_abi(interface).functions[entry["name"]].encode_call(*arguments)
    except EncodingError as error:
        raise ValueError(str(error)) from error
    return Draft(sender, SystemCall(ADDRESSES[interface], data, coins))


def _draft_schema(entry: Entry) -> dict[str, Any]:
    keys = _keys(entry)
    return {
        "type": "object",
        "properties": {key: {} for key in keys},
        "additionalProperties": False,
        "required": ["from"],
    }


def _keys(entry: Entry) -> list[str]:
    own = ["from", "value"] if entry["stateMutability"] == Mutability.PAYABLE else ["from"]
    return [*own, *map(_key, entry["inputs"])]


def _key(parameter: Parameter) -> str:
    return parameter["name"].rstrip("_")


def _object(value: Json, keys: Sequence[str]) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise ValueError(f"an object with the keys {', '.join(keys)} is expected")  # noqa: TRY004  (one error for all)
    for key in value:
        if key not in keys:
            raise ValueError(f"unknown key; {nearest(key, keys)}")
    return value


def _field(fields: dict[str, Json], key: str, parse: Callable[[Json], T]) -> T:
    if fields.get(key) is None:
        raise ValueError(f'the key "{key}" is missing')
    try:
        return parse(fields[key])
    except (ValueError, ConfigError) as error:
        raise ValueError(f"{key}: {error}") from None


def _argument(parameter: Parameter, enums: Mapping[str, Sequence[str]], value: Json) -> object:
    kind, inside = parameter["type"], parameter.get("internalType", "")
    array = _ARRAY.fullmatch(kind)
    if array is not None:
        if not isinstance(value, list):
            raise ValueError("an array is expected")
        item: Parameter = {**parameter, "type": array[1], "internalType": inside.removesuffix("[]")}
        return tuple(_argument(item, enums, entry) for entry in value)
    if kind == "tuple":
        parts = parameter["components"]
        fields = _object(value, list(map(_key, parts)))
        return tuple(_field(fields, _key(part), partial(_argument, part, enums)) for part in parts)
    if inside.startswith("enum "):
        return _member(enums[inside.removeprefix("enum ")], value)
    return _word(kind, value)


def _member(members: Sequence[str], value: Json) -> int:
    names = [name.lower() for name in members]
    if not isinstance(value, str) or value.lower() not in names[1:]:
        raise ValueError(f"one of {', '.join(members[1:])} is expected")
    return names.index(value.lower())


def _word(kind: str, value: Json) -> object:
    match kind:
        case "address":
            return parse_address(value)
        case "bool":
            return parse_bool(value)
        case "string":
            if not isinstance(value, str):
                raise ValueError("a string is expected")  # noqa: TRY004
            return value
        case _ if kind.startswith("bytes"):
            return parse_data(value)
        case _:
            return _integer(value)


def _integer(value: Json) -> int:
    """Return a quantity, or a JSON integer that no reader rounds."""
    if type(value) is int and 0 <= value <= _EXACT:
        return value
    return parse_quantity(value)
