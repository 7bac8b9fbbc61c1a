"""`cmt stake declare`, `rotate-key` and `key-proof`: where a candidacy meets the node's consensus key.

The contract wants a proof that the owner's side holds the key. Where account and validator key are on different
machines, `key-proof` makes the proof beside the key, and the other commands take it with --key and --proof.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from cybermiles.chain.reading import Field, checksum
from cybermiles.cli.contracts import cmt
from cybermiles.cli.options import home_option, reads, resolve_home
from cybermiles.cli.output import answer, json_option, reports_errors
from cybermiles.cli.staking import profile_of, profile_options, rate_argument
from cybermiles.cli.wallet import address_argument, coins_argument, sends
from cybermiles.consensus.validator_key import load_key
from cybermiles.crypto import ed25519
from cybermiles.errors import ConfigError
from cybermiles.node.data_dir import DataDir
from cybermiles.staking.keys import key_proof_bytes
from cybermiles.system.interface import STAKING_ABI, call_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.cli.wallet import Wallet
    from cybermiles.types.primitives import Address


class ProvenKey(NamedTuple):
    """A consensus key and its signature for an owner."""

    key: bytes
    proof: bytes


def proven_key(home: Path, owner: Address, *, prepared: bool) -> ProvenKey:
    """Return the key of a node's home, or the one that `cmt key rotate` prepared, with its proof for an owner.

    Raises ConfigError where there is no such key.
    """
    directory = DataDir(home)
    document = directory.load_genesis()
    path = directory.next_keys / directory.validator_key.name if prepared else directory.validator_key
    if prepared and not path.exists():
        raise ConfigError("no new key is prepared; run `cmt key rotate` first")
    key = load_key(path)
    message = key_proof_bytes(document.chain_id, document.hash, owner)
    return ProvenKey(key.public, ed25519.sign(key.private, message))


def _key_options(function: Callable[..., None]) -> Callable[..., None]:
    hexed = {"metavar": "0x…", "help": "Made by `cmt stake key-proof` where the validator key is elsewhere."}
    for option in (
        click.option("--proof", **hexed),  # type: ignore[arg-type]  # click's keywords
        click.option("--key", **hexed),  # type: ignore[arg-type]  # click's keywords
        click.option(
            "--node-home",
            type=click.Path(file_okay=False, path_type=Path),
            help="Home of the node whose key it is.  [default: --home]",
        ),
    ):
        function = option(function)
    return function


@click.command()
@coins_argument("cap")
@rate_argument("rate")
@click.option("--stake", "staked", required=True, metavar="CMT", callback=reads(Field.cmt), help="Own stake.")
@profile_options
@_key_options
@sends
def declare(
    *,
    wallet: Wallet,
    cap: int,
    rate: int,
    staked: int,
    node_home: Path | None,
    key: str | None,
    proof: str | None,
    **texts: str,
) -> None:
    """Become a candidate: take up to CAP CMT of stake, and keep RATE of the delegators' awards.

    The own stake must be a tenth of the cap at least. The node whose key this is has to run and be in step before it is
    elected: absence costs stake.

    \b
    Example:
      cmt stake declare 10000000 10% --stake 1000000 --name "Blue validator" --home ./node
    """
    proven = _read_key(wallet, node_home, key, proof, prepared=False)
    call = call_of(STAKING_ABI, "declareCandidacy", *proven, cap, rate, profile_of(texts), value=staked)
    wallet.send(call, f"{checksum(wallet.sender)} is a candidate with {cmt(staked)} CMT of own stake")


@click.command("rotate-key")
@_key_options
@sends
def rotate_key(*, wallet: Wallet, node_home: Path | None, key: str | None, proof: str | None) -> None:
    """Register the key that `cmt key rotate` prepared. The node changes over with `cmt key rotate --activate`.

    \b
    Example:
      cmt stake rotate-key --home ./node
    """
    proven = _read_key(wallet, node_home, key, proof, prepared=True)
    wallet.send(call_of(STAKING_ABI, "rotateConsensusKey", *proven), f"the new key is 0x{proven.key.hex()}")


@click.command("key-proof")
@address_argument("owner")
@click.option("--next", "prepared", is_flag=True, help="Of the key that `cmt key rotate` prepared.")
@home_option
@json_option
@reports_errors
def key_proof(*, owner: Address, prepared: bool, home: Path | None, as_json: bool) -> None:
    """Print the node's public key and its proof for account OWNER, to be sent from where that account is.

    \b
    Example:
      cmt stake key-proof 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 --home ./node
    """
    proven = proven_key(resolve_home(home), owner, prepared=prepared)
    data = {"owner": checksum(owner), "key": "0x" + proven.key.hex(), "proof": "0x" + proven.proof.hex()}
    answer(data, f"--key {data['key']} --proof {data['proof']}", as_json=as_json)


def _read_key(
    wallet: Wallet, node_home: Path | None, key: str | None, proof: str | None, *, prepared: bool
) -> ProvenKey:
    if key is None and proof is None:
        return proven_key(resolve_home(node_home or wallet.home), wallet.sender, prepared=prepared)
    if key is None or proof is None:
        raise click.UsageError("--key and --proof belong together; `cmt stake key-proof` prints both")
    return ProvenKey(Field(key, "--key").hex(size=32), Field(proof, "--proof").hex(size=64))


COMMANDS = (declare, rotate_key, key_proof)
