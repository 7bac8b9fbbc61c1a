"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from cybermiles.chain.reading import Field
from cybermiles.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

DEFAULT_HOME = Path("~/.cybermiles")

home_option = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="CMT_HOME",
    default=None,
    help="Directory of the node. [default: ~/.cybermiles/NETWORK]",
)
rpc_option = click.option(
    "--rpc",
    "rpc_url",
    envvar="CMT_RPC",
    default="http://127.0.0.1:8545",
    show_default=True,
    help="JSON-RPC address of the node to ask.",
)
password_option = click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="CMT_PASSWORD_FILE",
    help="File whose first line is the password; without it the command asks.",
)


def resolve_home(home: Path | None, network: str = "devnet") -> Path:
    """Return the home directory, the network's default one where none is given."""
    return (DEFAULT_HOME / network if home is None else home).expanduser().absolute()


def reads(read: Callable[[Field], T]) -> Callable[[click.Context, click.Parameter, str], T]:
    """Return click's callback for an argument that a `Field` reader reads: what it refuses is wrong usage."""

    def callback(_context: click.Context, parameter: click.Parameter, value: str) -> T:
        try:
            return read(Field(value, parameter.human_readable_name))
        except ConfigError as error:
            raise click.UsageError(str(error)) from error

    return callback


def reads_optional(read: Callable[[Field], T]) -> Callable[[click.Context, click.Parameter, str | None], T | None]:
    """Return the same for an option that may be left out."""
    callback = reads(read)

    def optional(context: click.Context, parameter: click.Parameter, value: str | None) -> T | None:
        return None if value is None else callback(context, parameter, value)

    return optional


def first_line(path: Path) -> str:
    """Return what a secret's file holds. Raises ConfigError where it is not text."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text") from error
    return lines[0] if lines else ""


def read_password(password_file: Path | None, *, confirm: bool) -> str:
    """Return the password of a file or of a prompt. Raises ConfigError for an empty one."""
    if password_file is not None:
        password = first_line(password_file)
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=confirm)
    if not password:
        raise ConfigError("the password is empty")
    return password
