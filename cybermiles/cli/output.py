"""How every verb answers: text for people, one JSON document with --json, errors as one line and an exit code."""

from __future__ import annotations

import json
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from cybermiles.errors import ConfigError, CybermilesError, InvariantViolation, StorageError, UpgradeRequired

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

EXIT_ERROR = 1
EXIT_UNDECIDED = 3
EXIT_SOFTWARE = 70
EXIT_STORAGE = 74
EXIT_UPGRADE = 75
EXIT_CONFIG = 78
EXIT_CODES = """\b
Exit codes:
  0   success
  1   the command failed; the last line of stderr says why
  2   wrong usage
  3   a transaction was sent but is in no block yet: ask `cmt tx status`
  70  an invariant of the node is broken: report it
  74  the disk failed or its content is damaged
  75  the next block needs another version of this software: install it and start again
  78  wrong configuration, genesis, key file or runtime"""


class CommandError(CybermilesError):
    """A command cannot do what it was asked; the message says what to do instead."""


class Undecided(CommandError):
    """A transaction was sent, and what becomes of it is not known yet."""


json_option = click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document.")


def answer(data: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Print a command's result in the form asked for."""
    click.echo(json.dumps(data, indent=2) if as_json else text)


def reports_errors(function: Callable[P, T]) -> Callable[P, T]:
    """Turn the package's and the system's exceptions into one line on stderr and an exit code."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except CybermilesError as error:
            click.echo(f"Error: {error}", err=True)
            raise SystemExit(_exit_code(error)) from error
        except OSError as error:
            where = "" if error.filename is None else f"{error.filename}: "
            click.echo(f"Error: {where}{error.strerror or error}", err=True)
            raise SystemExit(EXIT_ERROR) from error

    return wrapped


def _exit_code(error: CybermilesError) -> int:
    if isinstance(error, ConfigError):
        return EXIT_CONFIG
    if isinstance(error, StorageError):
        return EXIT_STORAGE
    if isinstance(error, InvariantViolation):
        return EXIT_SOFTWARE
    if isinstance(error, Undecided):
        return EXIT_UNDECIDED
    if isinstance(error, UpgradeRequired):
        return EXIT_UPGRADE
    return EXIT_ERROR
