"""cmt key show | rotate | export | import: the key a validator signs blocks with.

A key and what it signed last belong together: a key that forgets, or that two nodes use, signs twice and loses its
stake. So every verb that writes refuses while a node runs here, and nothing is ever overwritten or deleted:

    keys/validator.json + validator_state.json    in use
    keys/next/                                     prepared by `rotate`, used after `rotate --activate`
    keys/retired/ADDRESS/                          used before
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cybermiles.cli.options import home_option, resolve_home
from cybermiles.cli.output import CommandError, answer, json_option, reports_errors
from cybermiles.consensus.privval import load_state
from cybermiles.consensus.validator_key import export_bundle, generate_key, import_bundle, load_key, save_key
from cybermiles.errors import ConfigError
from cybermiles.node.data_dir import DataDir
from cybermiles.runtime.directory import OsDirectory
from cybermiles.runtime.files import write_durably

if TYPE_CHECKING:
    from cybermiles.chain.genesis import GenesisDocument
    from cybermiles.consensus.validator_key import ValidatorKey


@click.group()
def key() -> None:
    """The key a validator signs blocks with."""


@key.command()
@home_option
@json_option
@reports_errors
def show(*, home: Path | None, as_json: bool) -> None:
    """Show the public key, its consensus address, and what it signed last. Works while the node runs.

    \b
    Example:
      cmt key show --home ./node
    """
    directory = DataDir(resolve_home(home))
    document = directory.load_genesis()
    current = load_key(directory.validator_key)
    path = directory.validator_state
    state = load_state(OsDirectory(path.parent), path.name, document.chain_id, document.hash)
    founder = next((v for v in document.validators if v.validator.consensus_key == current.public), None)
    height, round_, step = state.position
    data = {
        "address": "0x" + current.address.hex(),
        "public_key": "0x" + current.public.hex(),
        "founding_validator": None if founder is None else founder.name,
        "last_signed": {"height": height, "round": round_, "step": step},
        "next_public_key": _next_public_key(directory),
    }
    lines = [
        f"address      {data['address']}",
        f"public key   {data['public_key']}",
        f"founder      {'no' if founder is None else founder.name}",
        f"last signed  height {height}, round {round_}, step {step}",
    ]
    if data["next_public_key"] is not None:
        lines.append(f"next key     {data['next_public_key']}  (cmt key rotate --activate)")
    answer(data, "\n".join(lines), as_json=as_json)


@key.command()
@home_option
@click.option("--activate", is_flag=True, help="Use the prepared key from the next start on, and retire the old one.")
@json_option
@reports_errors
def rotate(*, home: Path | None, activate: bool, as_json: bool) -> None:
    """Prepare a new key beside the one in use; with --activate change over to it. The node must be stopped.

    Between the two steps the chain has to learn the new key: the validator's operator account registers it with the
    staking contract. A key that the chain does not know decides nothing, and a founding validator's is in the genesis.

    \b
    Examples:
      cmt key rotate --home ./node
      cmt key rotate --home ./node --activate
    """
    directory = DataDir(resolve_home(home))
    document = directory.load_genesis()
    lock = directory.lock()
    try:
        if activate:
            old, new = _activate(directory, document)
        else:
            old, new = _prepare(directory, document)
    finally:
        lock.close()
    data = {
        "activated": activate,
        "old_address": "0x" + old.address.hex(),
        "new_address": "0x" + new.address.hex(),
        "new_public_key": "0x" + new.public.hex(),
    }
    if activate:
        text = (
            f"From the next start on this node signs as {data['new_address']}.\n"
            f"The old key and what it signed are kept in {directory.retired_keys / old.address.hex()}."
        )
    else:
        text = (
            f"New public key  {data['new_public_key']}\n"
            f"It is kept in {directory.next_keys}; the node goes on signing with the old one.\n\n"
            "1. Register the new key with the staking contract from the validator's operator account "
            "(rotateConsensusKey); contracts of staking that revert mean that this chain cannot change keys yet.\n"
            "2. When the new address is in the validator set, stop the node and run: "
            f"cmt key rotate --activate --home {directory.home}"
        )
    answer(data, text, as_json=as_json)


@key.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@home_option
@json_option
@reports_errors
def export(*, file: Path, home: Path | None, as_json: bool) -> None:
    """Write key and signer state as one secret FILE, to move a validator to another machine.

    The node must be stopped, and this home must not sign again: a state that goes on elsewhere is worth nothing here.

    \b
    Example:
      cmt key export validator.bundle --home ./node
    """
    directory = DataDir(resolve_home(home))
    if file.exists():
        raise CommandError(f"{file} exists; choose another name")
    lock = directory.lock()
    try:
        write_durably(file.absolute(), export_bundle(directory.validator_key, directory.validator_state).encode())
    finally:
        lock.close()
    text = f"{file} holds the validator's key and state. Do not start this home again with the key in it."
    answer({"file": str(file)}, text, as_json=as_json)


@key.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@home_option
@json_option
@reports_errors
def import_(*, file: Path, home: Path | None, as_json: bool) -> None:
    """Use the key and state of an exported FILE in this home; the key it had is retired.

    \b
    Example:
      cmt key import validator.bundle --home ./node
    """
    directory = DataDir(resolve_home(home))
    document = directory.load_genesis()
    lock = directory.lock()
    try:
        imported = _import(directory, document, file.read_text(encoding="utf-8"))
    finally:
        lock.close()
    address = "0x" + imported.address.hex()
    answer({"address": address}, f"this node signs as {address} from the next start on", as_json=as_json)


def _prepare(directory: DataDir, document: GenesisDocument) -> tuple[ValidatorKey, ValidatorKey]:
    old = load_key(directory.validator_key)
    if _next_public_key(directory) is not None:
        raise ConfigError(
            f"a new key is prepared in {directory.next_keys} already: activate it with `cmt key rotate --activate`, "
            "or move that directory away"
        )
    directory.next_keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = generate_key()
    directory.create_signer_state(directory.next_keys / directory.validator_state.name, document)
    save_key(directory.next_keys / directory.validator_key.name, new)
    return old, new


def _activate(directory: DataDir, document: GenesisDocument) -> tuple[ValidatorKey, ValidatorKey]:
    """Change over: state before key, so that whatever stops in between leaves no key with a foreign state."""
    prepared = directory.next_keys
    if _next_public_key(directory) is None:
        raise ConfigError("no new key is prepared; run `cmt key rotate` first")
    new = load_key(prepared / directory.validator_key.name)
    state = prepared / directory.validator_state.name
    load_state(OsDirectory(prepared), state.name, document.chain_id, document.hash)
    old = load_key(directory.validator_key)
    _retire(directory, old)
    state.rename(directory.validator_state)
    (prepared / directory.validator_key.name).rename(directory.validator_key)
    prepared.rmdir()
    return old, new


def _import(directory: DataDir, document: GenesisDocument, text: str) -> ValidatorKey:
    prepared = directory.next_keys
    files = (prepared / directory.validator_key.name, prepared / directory.validator_state.name)
    prepared.mkdir(parents=True, exist_ok=True, mode=0o700)
    imported = import_bundle(text, *files)
    try:
        _activate(directory, document)
    except ConfigError:
        for copy in files:  # the bundle still has them
            copy.unlink(missing_ok=True)
        raise
    return imported


def _retire(directory: DataDir, old: ValidatorKey) -> None:
    """Move the key in use, with its state, to where nothing signs with it."""
    place = directory.retired_keys / old.address.hex()
    if place.exists():
        raise ConfigError(f"{place} exists: this key was retired before; move that directory away first")
    place.mkdir(parents=True, mode=0o700)
    directory.validator_key.rename(place / directory.validator_key.name)
    if directory.validator_state.exists():
        directory.validator_state.rename(place / directory.validator_state.name)


def _next_public_key(directory: DataDir) -> str | None:
    path = directory.next_keys / directory.validator_key.name
    return "0x" + load_key(path).public.hex() if path.exists() else None
