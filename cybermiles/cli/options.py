"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path

import click

from cybermiles.errors import ConfigError

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


def read_password(password_file: Path | None, *, confirm: bool) -> str:
    """Return the password of a file or of a prompt. Raises ConfigError for an empty one."""
    if password_file is not None:
        lines = password_file.read_text().splitlines()
        password = lines[0] if lines else ""
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=confirm)
    if not password:
        raise ConfigError("the password is empty")
    return password
