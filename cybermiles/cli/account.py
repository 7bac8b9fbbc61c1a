"""cmt account new | list | import | export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from eth_account import Account

from cybermiles.accounts.keystore import Keystore
from cybermiles.chain.reading import Field, checksum, format_time
from cybermiles.cli.options import first_line, home_option, password_option, read_password, reads, resolve_home
from cybermiles.cli.output import answer, json_option, reports_errors
from cybermiles.errors import ConfigError
from cybermiles.node.data_dir import DataDir
from cybermiles.runtime.clock import SystemClock

if TYPE_CHECKING:
    from cybermiles.types.primitives import Address


@click.group()
def account() -> None:
    """Accounts in the keystore of a home directory."""


@account.command()
@home_option
@password_option
@json_option
@reports_errors
def new(*, home: Path | None, password_file: Path | None, as_json: bool) -> None:
    """Create an account with a new key.

    \b
    Example:
      cmt account new --password-file secret.txt
    """
    password = read_password(password_file, confirm=True)
    _store(home, bytes(Account.create().key), password, as_json=as_json)


@account.command("list")
@home_option
@json_option
@reports_errors
def list_(*, home: Path | None, as_json: bool) -> None:
    """List the accounts.

    \b
    Example:
      cmt account list --json
    """
    accounts = _keystore(home).list()
    data = {"accounts": [{"address": checksum(a.address), "file": str(a.path)} for a in accounts]}
    text = "\n".join(f"{checksum(a.address)}  {a.path}" for a in accounts)
    answer(data, text or "no accounts; create one with `cmt account new`", as_json=as_json)


@account.command("import")
@click.argument("key_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@home_option
@password_option
@json_option
@reports_errors
def import_(*, key_file: Path, home: Path | None, password_file: Path | None, as_json: bool) -> None:
    """Store the private key in KEY_FILE (64 hex digits, 0x allowed).

    \b
    Example:
      cmt account import key.hex
    """
    text = first_line(key_file).strip()
    key = Field(text if text.startswith("0x") else "0x" + text, str(key_file)).hex(size=32)
    _store(home, key, read_password(password_file, confirm=True), as_json=as_json)


@account.command()
@click.argument("address", callback=reads(Field.address))
@home_option
@password_option
@json_option
@reports_errors
def export(*, address: Address, home: Path | None, password_file: Path | None, as_json: bool) -> None:
    """Print the private key of ADDRESS. Whoever sees it owns the account.

    \b
    Example:
      cmt account export 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
    """
    key = _keystore(home).unlock(address, read_password(password_file, confirm=False))
    answer({"address": checksum(address), "private_key": "0x" + key.hex()}, "0x" + key.hex(), as_json=as_json)


def _keystore(home: Path | None) -> Keystore:
    return Keystore(DataDir(resolve_home(home)).keystore)


def _store(home: Path | None, key: bytes, password: str, *, as_json: bool) -> None:
    if len(password) < 8:
        raise ConfigError("the password must have at least 8 characters")
    created = format_time(SystemClock().now_ms() // 1000)
    stored = _keystore(home).add(key, password, created)
    answer(
        {"address": checksum(stored.address), "file": str(stored.path)},
        f"{checksum(stored.address)}\nkey file: {stored.path}",
        as_json=as_json,
    )
