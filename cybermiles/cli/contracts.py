"""Questions to the system contracts by `eth_call`, and their answers as text for people.

With --json an answer is what `system.interface` makes of it. As text amounts are in CMT, times are UTC and rates in
percent, by what the ABI calls them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from cybermiles.chain.fees import decimal
from cybermiles.chain.reading import format_time
from cybermiles.cli.output import CommandError
from cybermiles.cli.rpc_client import REVERTED, RpcRefusal, call
from cybermiles.rpc.errors import revert_reason
from cybermiles.system.codec import EncodingError, MalformedData
from cybermiles.system.interface import call_of, read_output
from cybermiles.system.sentences import explain
from cybermiles.types.primitives import WEI_PER_CMT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cybermiles.system.interface import Named

PAGE = 100
_NOT_COINS = frozenset({"id", "exitId", "offerId", "value"})
"""Names of large integers that are no amounts."""
_TIMES = frozenset({"jailedUntil", "since"})
_LONG_AMOUNT = re.compile(r"(\.\d{4})\d+(?= CMT)")
_TAGS = ("latest", "earliest", "pending", "safe", "finalized")


def _block(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if value in _TAGS:
        return value
    try:
        return hex(int(value, 0))
    except ValueError:
        raise click.UsageError(f"--block {value} is neither a number nor one of {', '.join(_TAGS)}") from None


block_option = click.option(
    "--block",
    default="latest",
    show_default=True,
    callback=_block,
    help="Number or tag of the block to ask the state of; the node keeps those of recent blocks.",
)


def ask(rpc_url: str, interface: str, function: str, *arguments: object, block: str = "latest") -> Any:  # noqa: ANN401
    """Return what a function of a system contract answers. Raises CommandError with the contract's reason."""
    try:
        question = call_of(interface, function, *arguments)
    except EncodingError as error:
        raise CommandError(str(error)) from error
    message = {"to": "0x" + question.to.hex(), "data": "0x" + question.data.hex()}
    with_reasons = refusals_explained(rpc_url, "eth_call", message, block)
    try:
        return read_output(interface, function, bytes.fromhex(with_reasons[2:]))
    except (MalformedData, ValueError) as error:
        raise CommandError(f"{rpc_url} answers {function} with something else than {interface} does") from error


def ask_all(rpc_url: str, interface: str, function: str, *arguments: object, block: str, page: int = PAGE) -> list[Any]:
    """Return every item of a list that comes in pages."""
    items: list[Any] = []
    while True:
        found = ask(rpc_url, interface, function, *arguments, len(items), page, block=block)
        items += found
        if len(found) < page:
            return items


def refusals_explained(rpc_url: str, method: str, *params: object) -> Any:  # noqa: ANN401  (any JSON value)
    """Return the result of a request. Raises CommandError that says in words why a system contract refused."""
    try:
        return call(rpc_url, method, *params)
    except RpcRefusal as refusal:
        if refusal.code != REVERTED:
            raise
        raise CommandError(reason_of(refusal.data) or str(refusal)) from refusal


def reason_of(data: object) -> str | None:
    """Return what revert data means: a system contract's refusal, Solidity's Error and Panic, else the bytes."""
    if not isinstance(data, str):
        return None
    if data == "0x":
        return "the contract refused without a reason; it may not have the function"
    try:
        output = bytes.fromhex(data.removeprefix("0x"))
    except ValueError:
        return None
    return explain(output) or revert_reason(output) or f"the contract's own error 0x{output.hex()}"


def cmt(value: object) -> str:
    """Return wei as CMT."""
    return decimal(int(str(value)), WEI_PER_CMT)


def percent(ppm: object) -> str:
    """Return parts per million in percent."""
    return f"{decimal(int(str(ppm)), 10_000)} %"


def when(seconds: object) -> str:
    """Return a time, "-" for none."""
    return format_time(int(str(seconds))) if seconds else "-"


def shown(name: str, value: Named) -> str:
    """Return a value as its name says what it is."""
    match value:
        case bool():
            return "yes" if value else "no"
        case str() if value.isdigit() and name not in _NOT_COINS:
            return f"{cmt(value)} CMT"
        case int() if name.endswith("Time") or name in _TIMES:
            return when(value)
        case int() if name.endswith("Ppm"):
            return percent(value)
        case list():
            return ", ".join(shown(name, entry) for entry in value) or "-"
        case dict():
            return "; ".join(f"{key} {shown(key, entry)}" for key, entry in value.items())
        case _:
            return str(value) if value not in ("", None) else "-"


def lines(value: dict[str, Named]) -> str:
    """Return an object as one line for each field."""
    width = max(map(len, value), default=0)
    return "\n".join(f"{name:{width}}  {shown(name, entry)}" for name, entry in value.items())


def table(rows: Iterable[dict[str, Named]], columns: Sequence[str]) -> str:
    """Return the columns of a list of objects, aligned, under their names; amounts are cut to 4 decimal places."""
    cells = [list(columns), *([_LONG_AMOUNT.sub(r"\1", shown(name, row[name])) for name in columns] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(columns))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)
