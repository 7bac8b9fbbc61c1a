"""The homes of a test network's nodes: keys, one genesis document, settings that let them find each other.

    DIRECTORY/node0/    a home like any other: config.toml, genesis.json, keys/
    DIRECTORY/node1/    …

On one machine the nodes listen on loopback at successive ports. With host names they listen on every address at the
same ports, for one machine or container each. Every node keeps connected with every other one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cybermiles.chain.genesis import Allocation, founder, with_stake_powers
from cybermiles.crypto.hashing import keccak256
from cybermiles.crypto.secp256k1 import address_of
from cybermiles.errors import ConfigError
from cybermiles.node.data_dir import DataDir
from cybermiles.p2p.identity import Endpoint, PeerAddress, ip_address
from cybermiles.types.primitives import WEI_PER_CMT, Address, Wei
from cybermiles.types.validator import Validator

if TYPE_CHECKING:
    from pathlib import Path

    from cybermiles.chain.genesis import GenesisDocument

LOOPBACK = "127.0.0.1"
ANYWHERE = "0.0.0.0"  # noqa: S104  (a node on a machine of its own is there to be reached)
MAX_VALIDATORS = 100
MAX_PORT = 65_535
STAKE = Wei(1_000_000 * WEI_PER_CMT)
"""Of each validator; equal, so that more than a third of them by number is more than a third by power."""
OPERATOR_COINS = Wei(1_100_000 * WEI_PER_CMT)
"""What operators beyond the template's accounts get, from the last account: their stake, and some to spend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """What a network is to be like."""

    template: GenesisDocument
    """Without validators; its allocations' accounts become their operators, in order."""
    validators: int
    hosts: tuple[str, ...] = ()
    """Where each node runs; empty: all on this machine."""
    rpc_port: int = 8545
    """The first node's; with hosts every node's."""
    p2p_port: int = 26_656
    """The same for peers."""
    create_empty_blocks: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkNode:
    """One node as it was planned."""

    name: str
    home: Path
    address: PeerAddress
    """Where its peers find it."""
    rpc_port: int
    validator: Validator

    @property
    def rpc_url(self) -> str:
        """JSON-RPC, from the machine the node runs on."""
        return f"http://{LOOPBACK}:{self.rpc_port}"


def create_testnet(directory: Path, plan: NetworkPlan) -> tuple[GenesisDocument, tuple[NetworkNode, ...]]:
    """Write the homes. Raises ConfigError where the directory holds something, or the plan is impossible."""
    if not 1 <= plan.validators <= MAX_VALIDATORS:
        raise ConfigError(f"a test network has 1 to {MAX_VALIDATORS} validators, not {plan.validators}")
    if plan.hosts and len(plan.hosts) != plan.validators:
        raise ConfigError(f"{len(plan.hosts)} hosts are named for {plan.validators} validators; name one for each")
    if directory.exists() and any(directory.iterdir()):
        raise ConfigError(f"{directory} is not empty; choose another directory or delete it first")
    endpoints = [_endpoint(plan, number) for number in range(plan.validators)]
    template = _with_operators(plan.template, plan.validators)
    nodes = tuple(
        _create_node(directory / f"node{number}", endpoint, plan.rpc_port + _shift(plan, number), allocation.address)
        for number, (endpoint, allocation) in enumerate(zip(endpoints, template.allocations, strict=False))
    )
    entries = [founder(node.name, node.validator, STAKE, template.params) for node in nodes]
    founders = with_stake_powers(entries, template.params)
    nodes = tuple(replace(node, validator=entry.validator) for node, entry in zip(nodes, founders, strict=True))
    document = template.with_validators(founders)
    for node in nodes:
        DataDir(node.home).create_chain(document)
        others = [str(other.address) for other in nodes if other is not node]
        DataDir(node.home).config.write_text(_settings(node, others, plan))
    return document, nodes


def operator_key(number: int) -> bytes:
    """Return the account key of a node's operator for which the template has no account. Everybody can compute it."""
    return keccak256(b"cmt/testnet-operator" + number.to_bytes(4))


def find_homes(directory: Path) -> tuple[DataDir, ...]:
    """Return the homes of a network's nodes, in order of their numbers; none where there is no network."""
    found = {}
    for home in directory.glob("node*"):
        number = home.name.removeprefix("node")
        if number.isdigit() and DataDir(home).is_initialised:
            found[int(number)] = DataDir(home)
    return tuple(found[number] for number in sorted(found))


def _with_operators(template: GenesisDocument, count: int) -> GenesisDocument:
    """Return the template with an account for each node, the further ones' coins taken from the last."""
    given = template.allocations
    further = [
        Allocation(f"operator of node{number}", Address(address_of(operator_key(number))), OPERATOR_COINS)
        for number in range(len(given), count)
    ]
    if not further:
        return template
    last = replace(given[-1], amount=Wei(given[-1].amount - OPERATOR_COINS * len(further)))
    return replace(template, allocations=(*given[:-1], last, *further))


def _shift(plan: NetworkPlan, number: int) -> int:
    """Return by how much a node's ports are higher than the first node's."""
    return 0 if plan.hosts else number


def _endpoint(plan: NetworkPlan, number: int) -> Endpoint:
    if max(plan.p2p_port, plan.rpc_port) + _shift(plan, number) > MAX_PORT:
        raise ConfigError(f"node{number} would listen at a port over {MAX_PORT}; choose lower first ports")
    host = plan.hosts[number] if plan.hosts else LOOPBACK
    return Endpoint.parse(str(Endpoint(host, plan.p2p_port + _shift(plan, number))))


def _create_node(home: Path, endpoint: Endpoint, rpc_port: int, operator: Address) -> NetworkNode:
    directory = DataDir(home)
    public_key = directory.create_keys()
    return NetworkNode(
        name=home.name,
        home=home,
        address=PeerAddress(directory.load_or_create_node_key().id, endpoint),
        rpc_port=rpc_port,
        validator=Validator(public_key, operator, 1),
    )


def _is_public(plan: NetworkPlan) -> bool:
    """Whether all nodes are on the Internet, where no peer needs to tell an address of a private network."""
    addresses = [ip_address(host) for host in plan.hosts]
    return bool(addresses) and all(address is not None and address.is_global for address in addresses)


def _settings(node: NetworkNode, others: list[str], plan: NetworkPlan) -> str:
    endpoint = node.address.endpoint
    listen_host = ANYWHERE if plan.hosts else LOOPBACK
    lines = [
        "# Written by `cmt testnet init`; `cmt config show --origin` lists every key.",
        "",
        "[node]",
        'network = "devnet"',
        "",
        "[consensus]",
        f"create_empty_blocks = {json.dumps(plan.create_empty_blocks)}",
        "",
        "[rpc]",
        f'host = "{LOOPBACK}"',
        f"port = {node.rpc_port}",
        "",
        "[p2p]",
        f'moniker = "{node.name}"',
        f'listen_host = "{listen_host}"',
        f"listen_port = {endpoint.port}",
        *([f'external_address = "{endpoint}"'] if plan.hosts else []),
        f"allow_private_addresses = {json.dumps(not _is_public(plan))}",
        "persistent_peers = [",
        *(f"  {json.dumps(other)}," for other in others),
        "]",
        "",
    ]
    return "\n".join(lines)
