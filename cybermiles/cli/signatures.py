"""Functions and values as people type them: "transfer(address,uint256)", "f(uint256[]) returns (string)", `[1,2]`.

A signature becomes an ABI entry for `system.abi`, so that there is one codec. Arrays are [a, b], structs (a, b); text
with commas or brackets stands in double quotes inside them. Integers may have a unit: 1.5cmt, 2gwei, 1e18.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import click

from cybermiles.chain.reading import Field, checksum
from cybermiles.cli.output import CommandError
from cybermiles.errors import ConfigError
from cybermiles.system.abi import Entry, parse_abi
from cybermiles.system.codec import EncodingError, MalformedData

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cybermiles.system.abi import Function, Parameter
    from cybermiles.system.interface import Named

_FUNCTION = re.compile(r"\s*(?:function\s+)?([A-Za-z_$][A-Za-z0-9_$]*)\s*\((.*)\)\s*", re.DOTALL)
_RETURNS = re.compile(r"\)\s*(?:(?:external|public|view|pure|payable|nonpayable)\s*)*(?:returns)?\s*\(")
_TYPE = re.compile(r"\s*(?:tuple)?\s*(\(|[a-z0-9]+)")
_SUFFIX = re.compile(r"((?:\[[0-9]*\])*)\s*(?:(?:indexed|memory|calldata|payable)\s+)*([A-Za-z_$][A-Za-z0-9_$]*)?\s*")
_NUMBER = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:e([0-9]{1,2}))?\s*([a-z]*)")
_UNITS = {"": 0, "wei": 0, "gwei": 9, "cmt": 18, "ether": 18}
_SAFE_BITS = 53


def parse_function(text: str) -> Entry:
    """Return the ABI entry of a typed function. Raises CommandError showing how one is written."""
    split = _RETURNS.search(text)
    head, results = (text, "") if split is None else (text[: split.start() + 1], text[split.end() :].rstrip()[:-1])
    found = _FUNCTION.fullmatch(head)
    try:
        if found is None or (split is not None and not text.rstrip().endswith(")")):
            raise ValueError(text)
        inputs, outputs = _parameters(found[2]), _parameters(results)
    except ValueError as error:
        raise CommandError(
            f'{text!r} is not a function; write it as "balanceOf(address) returns (uint256)" or '
            '"transfer(address,uint256)"'
        ) from error
    return Entry(type="function", name=found[1], inputs=inputs, outputs=outputs, stateMutability="nonpayable")


def function_of(entry: Entry) -> Function:
    """Return an entry's codec. Raises CommandError for types that there are not."""
    try:
        return parse_abi(entry["name"], [entry], {}).functions[entry["name"]]
    except ConfigError as error:
        raise CommandError(str(error)) from error


def encode_arguments(entry: Entry, texts: Sequence[str]) -> bytes:
    """Return the ABI encoding of typed arguments, without a selector. Raises CommandError naming the wrong one."""
    parameters = entry["inputs"]
    signature = f"{entry['name']}({','.join(map(type_of, parameters))})"
    if len(texts) != len(parameters):
        raise CommandError(f"{signature} takes {len(parameters)} arguments, not {len(texts)}")
    values = []
    for index, (parameter, text) in enumerate(zip(parameters, texts, strict=True), 1):
        try:
            values.append(parse_value(parameter, text))
        except (ValueError, ConfigError) as error:
            name = parameter.get("name") or f"argument {index}"
            raise CommandError(f"{name} of {signature}: {error}") from error
    try:
        return function_of(entry).inputs.encode(tuple(values))
    except EncodingError as error:
        raise CommandError(f"{signature}: {error}") from error


def parse_value(parameter: Parameter, text: str) -> object:
    """Return a value of the parameter's type, as the codec takes it. Raises ValueError saying what it must be."""
    kind = parameter["type"]
    text = text.strip()
    if kind.endswith("]"):
        item: Parameter = {**parameter, "type": kind.rpartition("[")[0]}
        return tuple(parse_value(item, part) for part in _split(text, "[]", kind))
    if kind == "tuple":
        parts, fields = _split(text, "()", type_of(parameter)), parameter["components"]
        if len(parts) != len(fields):
            raise ValueError(f"{text!r} has {len(parts)} values, {type_of(parameter)} {len(fields)}")
        return tuple(parse_value(field, part) for field, part in zip(fields, parts, strict=True))
    if kind == "string" and len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('\\"', '"')
    return _word(kind, text)


def parse_amount(text: str, unit: str) -> int:
    """Return an amount in its smallest unit; `unit` counts where the text has none. Raises ValueError."""
    found = _NUMBER.fullmatch(text.strip().lower())
    if found is None or found[5] not in _UNITS:
        raise ValueError(f"{text!r} is not an amount such as 1.5{unit}, 20gwei or 100wei")
    places = _UNITS[found[5] or unit] + int(found[4] or 0)
    fraction = found[3] or ""
    if len(fraction) > places:
        raise ValueError(f"{text!r} is no whole number of wei")
    value: int = int(found[2] + fraction) * 10 ** (places - len(fraction))
    return -value if found[1] else value


def amount_option(unit: str) -> Callable[[click.Context, click.Parameter, str | None], int | None]:
    """Return click's callback for an amount: a negative one, or none at all, is wrong usage."""

    def callback(_context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
        if value is None:
            return None
        try:
            amount = parse_amount(value, unit)
        except ValueError as error:
            raise click.UsageError(f"{parameter.opts[0]}: {error}") from error
        if not 0 <= amount < 1 << 256:
            raise click.UsageError(f"{parameter.opts[0]}: {value} is not in the range of amounts")
        return amount

    return callback


def plain(parameters: list[Parameter]) -> list[Parameter]:
    """Return parameters without what solc says beside the types: enums are numbers here."""
    return [_plain(parameter) for parameter in parameters]


def _plain(parameter: Parameter) -> Parameter:
    shorn: Parameter = {"name": parameter.get("name", ""), "type": parameter["type"]}
    if "components" in parameter:
        shorn["components"] = plain(parameter["components"])
    return shorn


def type_of(parameter: Parameter) -> str:
    """Return a parameter's type as signatures have it."""
    kind = parameter["type"]
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(map(type_of, parameter['components']))}){kind[5:]}"


def read_results(entry: Entry, output: bytes) -> list[Named]:
    """Return what a function answered, by its entry's result types. Raises CommandError where it is something else."""
    try:
        values = function_of(entry).decode_output(output)
    except MalformedData as error:
        kinds = ",".join(map(type_of, entry["outputs"]))
        raise CommandError(f"the answer 0x{output.hex()} is not ({kinds}): {error}") from error
    return [named(parameter, value) for parameter, value in zip(entry["outputs"], values, strict=True)]


def named(parameter: Parameter, value: object) -> Named:
    """Return a decoded value as JSON has it: large integers are text, structs are objects where fields have names."""
    kind = parameter["type"]
    if kind.endswith("]"):
        item: Parameter = {**parameter, "type": kind.rpartition("[")[0]}
        return [named(item, entry) for entry in cast("Sequence[object]", value)]
    if kind == "tuple":
        fields = list(zip(parameter["components"], cast("Sequence[object]", value), strict=True))
        if all(field.get("name") for field, _ in fields):
            return {field["name"]: named(field, entry) for field, entry in fields}
        return [named(field, entry) for field, entry in fields]
    match value:
        case bytes():
            return checksum(value) if kind == "address" else "0x" + value.hex()
        case bool() | str():
            return value
        case int():
            return value if abs(value) >> _SAFE_BITS == 0 and not kind.endswith("256") else str(value)
        case _:
            raise TypeError(f"{kind} is not an ABI type")


def _word(kind: str, text: str) -> object:
    if kind == "address":
        return Field(text, "an address").address()
    if kind == "bool":
        if text not in ("true", "false"):
            raise ValueError(f"{text!r} is neither true nor false")
        return text == "true"
    if kind == "string":
        return text
    if kind.startswith("bytes"):
        digits = text.removeprefix("0x")
        if digits == text:
            raise ValueError(f"{text!r} is not 0x and hex digits")
        return bytes.fromhex(digits)
    if text.lower().startswith("0x"):
        return int(text, 16)
    return parse_amount(text, "wei")


def _parameters(text: str) -> list[Parameter]:
    """Read types, with or without names, that fill the text. Raises ValueError."""
    parameters, at = _parameters_until(text, 0, "")
    if at != len(text):
        raise ValueError(text[at:])
    return parameters


def _parameters_until(text: str, at: int, end: str) -> tuple[list[Parameter], int]:
    parameters: list[Parameter] = []
    while text[at:].strip() and not (end and text[at:].lstrip().startswith(end)):
        found = _TYPE.match(text, at)
        if found is None:
            raise ValueError(text[at:])
        parameter: Parameter = {"name": "", "type": {"uint": "uint256", "int": "int256"}.get(found[1], found[1])}
        at = found.end()
        if found[1] == "(":
            fields, at = _parameters_until(text, at, ")")
            if not text[at:].lstrip().startswith(")"):
                raise ValueError(text[at:])
            at = text.index(")", at) + 1
            parameter = {"name": "", "type": "tuple", "components": fields}
        suffix = _SUFFIX.match(text, at)
        if suffix is None:
            raise ValueError(text[at:])
        parameter["type"] += suffix[1]
        parameter["name"] = suffix[2] or ""
        parameters.append(parameter)
        at = suffix.end()
        if text[at : at + 1] == ",":
            at += 1
            if not text[at:].strip():
                raise ValueError(text)
        elif text[at:].strip() and text[at] != end:
            raise ValueError(text[at:])
    return parameters, at


def _split(text: str, brackets: str, kind: str) -> list[str]:
    """Return the parts between a pair of brackets. Raises ValueError where the text is not in them."""
    if len(text) < 2 or text[0] != brackets[0] or text[-1] != brackets[1]:
        raise ValueError(f"{text!r} is no {kind}, which is written {brackets[0]}…, …{brackets[1]}")
    parts, depth, quoted, start = [], 0, False, 1
    for at in range(1, len(text) - 1):
        character = text[at]
        if character == '"' and text[at - 1] != "\\":
            quoted = not quoted
        elif not quoted and character in "[(":
            depth += 1
        elif not quoted and character in "])":
            depth -= 1
        elif not quoted and depth == 0 and character == ",":
            parts.append(text[start:at])
            start = at + 1
    if depth or quoted:
        raise ValueError(f"the brackets or quotes of {text!r} are not closed")
    rest = text[start:-1]
    return [*parts, rest] if parts or rest.strip() else []
