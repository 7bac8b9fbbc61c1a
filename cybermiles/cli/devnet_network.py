"""cmt devnet up | down | status | logs: several validators on this machine, as background processes.

DIRECTORY/node0/   a home, with node.log beside its settings; `up` creates what is missing and starts what is not
DIRECTORY/node1/   running, so it can be called again at any time
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cybermiles.chain.reading import checksum
from cybermiles.cli import processes
from cybermiles.cli.funded import funded_accounts
from cybermiles.cli.output import CommandError, answer, json_option, reports_errors
from cybermiles.cli.testnet import template
from cybermiles.errors import ConfigError
from cybermiles.node.testnet import MAX_VALIDATORS, NetworkPlan, create_testnet, find_homes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.node.data_dir import DataDir

DEFAULT_DIRECTORY = Path("~/.cybermiles/devnet-network")
DEFAULT_VALIDATORS = 4
FIRST_BLOCK_SECONDS = 20

directory_option = click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="CMT_DEVNET",
    default=DEFAULT_DIRECTORY,
    show_default=True,
    help="Where the nodes' homes are.",
)


@click.command()
@click.option(
    "--validators",
    "count",
    type=click.IntRange(1, MAX_VALIDATORS),
    help=f"How many nodes.  [default: those there are, or {DEFAULT_VALIDATORS}]",
)
@directory_option
@click.option("--rpc-port", type=click.IntRange(1, 65_535), default=8545, show_default=True, help="JSON-RPC of node0.")
@click.option("--p2p-port", type=click.IntRange(1, 65_535), default=26_656, show_default=True, help="Peers of node0.")
@json_option
@reports_errors
def up(*, count: int | None, directory: Path, rpc_port: int, p2p_port: int, as_json: bool) -> None:
    """Start the network, creating it where there is none, and return once every node serves.

    The nodes go on in the background and keep their state; ports count for a network that is created now.

    \b
    Example:
      cmt devnet up --validators 4
    """
    directory = directory.expanduser().absolute()
    homes = find_homes(directory)
    if not homes:
        plan = NetworkPlan(
            template=template(None, (), dev=True),
            validators=count or DEFAULT_VALIDATORS,
            rpc_port=rpc_port,
            p2p_port=p2p_port,
        )
        create_testnet(directory, plan)
        homes = find_homes(directory)
    elif count is not None and count != len(homes):
        raise ConfigError(
            f"{directory} holds a network of {len(homes)} validators, not {count}; delete it with "
            "`cmt devnet down --delete`, or use another --directory"
        )
    stopped = [home for home in homes if home.running_process() is None]
    started = [(home, processes.start(home)) for home in stopped]
    for home, process in started:
        processes.wait_until_serving(home, process)
    if stopped:
        processes.wait_for(lambda: all(node["height"] for node in _nodes(homes)), FIRST_BLOCK_SECONDS)
    data = _describe(directory, homes)
    funded = [{"address": checksum(address), "private_key": key} for address, key in funded_accounts().items()]
    lines = [f"{account['address']}  private key {account['private_key']}" for account in funded]
    lines += [
        "These keys are public knowledge: never send anything of value to these accounts.",
        "",
        *_table(data["nodes"]),
        "",
        f"Chain id {homes[0].load_genesis().chain_id}, currency symbol CMT, data in {directory}",
        f"{len(stopped)} of {len(homes)} nodes were started. Next: cmt devnet status | logs -f | down",
    ]
    answer(data | {"accounts": funded, "started": len(stopped)}, "\n".join(lines), as_json=as_json)


@click.command()
@directory_option
@click.option("--delete", is_flag=True, help="Also delete the nodes' homes: chain, keys and logs.")
@json_option
@reports_errors
def down(*, directory: Path, delete: bool, as_json: bool) -> None:
    """Stop every node of the network; their state stays for the next `up`.

    \b
    Example:
      cmt devnet down
    """
    directory = directory.expanduser().absolute()
    homes = find_homes(directory)
    running = sum(home.running_process() is not None for home in homes)
    killed = processes.stop(homes)
    if delete:
        for home in homes:
            shutil.rmtree(home.home)
    text = f"{running} of {len(homes)} nodes were running and are stopped"
    if killed:
        text += f"; {', '.join(killed)} took over {processes.STOP_SECONDS} s and had to be killed"
    if delete:
        text += f"; the network in {directory} is deleted"
    data = {"directory": str(directory), "stopped": running, "killed": killed, "deleted": delete}
    answer(data, text, as_json=as_json)


@click.command()
@directory_option
@json_option
@reports_errors
def status(*, directory: Path, as_json: bool) -> None:
    """Show every node: whether it runs, how high it is, whom it talks to. Ends with code 1 unless all serve.

    \b
    Example:
      cmt devnet status --json
    """
    directory = directory.expanduser().absolute()
    data = _describe(directory, _homes(directory))
    answer(data, "\n".join(_table(data["nodes"])), as_json=as_json)
    if any(node["height"] is None for node in data["nodes"]):
        raise SystemExit(1)


@click.command()
@directory_option
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on with what is written from now on, until Ctrl-C.")
@click.option("-n", "--lines", "count", type=click.IntRange(0), default=20, show_default=True, help="Of each node.")
@click.option("--node", "names", multiple=True, metavar="NAME", help="Such as node0. Repeatable.  [default: all]")
@json_option
@reports_errors
def logs(*, directory: Path, follows: bool, count: int, names: tuple[str, ...], as_json: bool) -> None:
    """Print the ends of the nodes' logs; with --json one object a line.

    \b
    Example:
      cmt devnet logs -f --node node0
    """
    homes = _homes(directory.expanduser().absolute())
    paths = {home.home.name: processes.log_path(home) for home in homes}
    unknown = [name for name in names if name not in paths]
    if unknown:
        raise CommandError(f"there is no {unknown[0]}; there are {', '.join(paths)}")
    paths = {name: path for name, path in paths.items() if not names or name in names}

    def show(name: str, line: str) -> None:
        if as_json:
            answer_line({"node": name, "line": line})
        else:
            click.echo(f"{name} | {line}")

    for name, path in paths.items():
        for line in processes.last_lines(path, count):
            show(name, line)
    if follows:
        for name, line in processes.follow(paths):
            show(name, line)


def answer_line(data: dict[str, Any]) -> None:
    """Print one object of a stream."""
    click.echo(json.dumps(data))


def _homes(directory: Path) -> Sequence[DataDir]:
    homes = find_homes(directory)
    if not homes:
        raise CommandError(f"there is no network in {directory}; create one with `cmt devnet up`")
    return homes


def _describe(directory: Path, homes: Sequence[DataDir]) -> dict[str, Any]:
    return {"directory": str(directory), "nodes": _nodes(homes)}


def _nodes(homes: Sequence[DataDir]) -> list[dict[str, Any]]:
    """Return each node's state; what only a node itself knows is None where it does not answer."""
    found = []
    for home in homes:
        process = home.running_process()
        answered = None if process is None else processes.try_status(home)
        found.append(
            {
                "name": home.home.name,
                "rpc": processes.rpc_url(home),
                "process": process,
                "height": None if answered is None else answered["sync_info"]["latest_block_height"],
                "peers": None if answered is None else answered["peers"]["connected"],
                "catching_up": None if answered is None else answered["sync_info"]["catching_up"],
                "explanation": None if answered is None else answered["consensus"]["explanation"],
            }
        )
    return found


def _table(nodes: Sequence[dict[str, Any]]) -> list[str]:
    lines = []
    for node in nodes:
        if node["process"] is None:
            state = "stopped"
        elif node["height"] is None:
            state = f"process {node['process']} does not answer"
        else:
            state = f"height {node['height']}, {node['peers']} peers, process {node['process']}"
            state += ", catching up" if node["catching_up"] else ""
        lines.append(f"{node['name']:<8}{node['rpc']}  {state}")
    return lines
