"""cmt init: the files of a new node."""

from __future__ import annotations

import time
from pathlib import Path

import click

from cybermiles.chain.genesis import GenesisDocument, founder, parse_genesis, with_stake_powers
from cybermiles.chain.networks import NETWORKS, network_genesis
from cybermiles.cli.options import home_option, resolve_home
from cybermiles.cli.output import answer, json_option, reports_errors
from cybermiles.node.data_dir import DataDir
from cybermiles.types.primitives import WEI_PER_CMT, Wei
from cybermiles.types.validator import Validator

FOUNDER_STAKE = Wei(1_000_000 * WEI_PER_CMT)
"""What the validator of a new chain stakes from its operator's coins, the first account's."""
CONFIG_TEMPLATE = """\
# Settings of this node; `cmt config show --origin` lists every key. Flags and CMT_SECTION__KEY win over this file.

[node]
network = "{network}"

[rpc]
host = "127.0.0.1"
port = 8545
"""


@click.command()
@click.option("--network", type=click.Choice(tuple(NETWORKS)), default="devnet", show_default=True)
@click.option(
    "--genesis",
    "genesis_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Document of another chain than the named network's.",
)
@home_option
@json_option
@reports_errors
def init(*, network: str, genesis_file: Path | None, home: Path | None, as_json: bool) -> None:
    """Write the files of a new node; nothing that exists is overwritten.

    On devnet the new key becomes the only validator, with a stake from the first account, and the chain starts now.

    \b
    Example:
      cmt init --network devnet --home ./node
    """
    directory = DataDir(resolve_home(home, network))
    document = initialise(directory, network, genesis_file)
    data = {
        "home": str(directory.home),
        "chain_id": document.chain_id,
        "genesis_hash": "0x" + document.hash.hex(),
        "validator_key": str(directory.validator_key),
    }
    text = (
        f"home          {directory.home}\nchain id      {document.chain_id}\n"
        f"genesis hash  0x{document.hash.hex()}\n\n"
        f"Next: cmt node start --home {directory.home}\n"
        f"Back up {directory.validator_key} together with {directory.validator_state.name}; never run a key twice."
    )
    answer(data, text, as_json=as_json)


def initialise(directory: DataDir, network: str, genesis_file: Path | None = None) -> GenesisDocument:
    """Create keys, configuration and genesis of a home and return the chain's document."""
    template = network_genesis(network) if genesis_file is None else parse_genesis(genesis_file.read_bytes())
    public_key = directory.create_keys()
    document = template
    if not template.validators:
        operator = template.allocations[0].address
        validator = founder("devnet validator", Validator(public_key, operator, 1), FOUNDER_STAKE, template.params)
        founders = with_stake_powers([validator], template.params)
        document = template.with_validators(founders).with_timestamp(int(time.time()))  # noqa: TID251  (the chain starts now)
    directory.create_chain(document)
    if not directory.config.exists():
        directory.config.write_text(CONFIG_TEMPLATE.format(network=network))
    return document
