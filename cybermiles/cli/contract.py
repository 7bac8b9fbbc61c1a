"""cmt contract deploy | call | verify."""

from __future__ import annotations

import json
import time
import urllib.parse
from typing import TYPE_CHECKING, Any

import click

from cybermiles.chain.reading import Field, checksum
from cybermiles.cli.artifacts import Artifact, read_abi, read_artifact
from cybermiles.cli.contracts import block_option
from cybermiles.cli.options import reads_optional, rpc_option
from cybermiles.cli.output import CommandError, answer, json_option, reports_errors
from cybermiles.cli.reverts import explain_revert
from cybermiles.cli.rpc_client import REVERTED, RpcRefusal, post_form
from cybermiles.cli.rpc_client import call as rpc
from cybermiles.cli.signatures import amount_option, encode_arguments, function_of, parse_function, plain, read_results
from cybermiles.cli.wallet import Outgoing, Wallet, address_argument, sends
from cybermiles.system.abi import Entry

if TYPE_CHECKING:
    from cybermiles.system.abi import Parameter
    from cybermiles.types.primitives import Address

POLL_SECONDS = 0.2
VERIFY_SECONDS = 120
"""How long a verdict is waited for."""
_contract_option = click.option(
    "--contract", "wanted", metavar="NAME", help="Which contract of solc's output, as Token or src/Token.sol:Token."
)


@click.group()
def contract() -> None:
    """Contracts: deploy, ask, verify."""


@contract.command()
@click.argument("artifact")
@click.argument("arguments", nargs=-1)
@_contract_option
@click.option(
    "--value",
    default="0",
    show_default=True,
    metavar="CMT",
    callback=amount_option("cmt"),
    help="Coins the constructor is paid.",
)
@sends
def deploy(*, artifact: str, arguments: tuple[str, ...], wanted: str | None, value: int, wallet: Wallet) -> None:
    """Deploy ARTIFACT: a file of Hardhat, Foundry or solc, a .bin file, or 0x and hex digits; then its ARGUMENTS.

    \b
    Examples:
      cmt contract deploy out/Token.sol/Token.json "My token" 1e24
      cmt contract deploy 0x6080604052…
    """
    found = read_artifact(artifact, wanted)
    wallet.send(
        Outgoing(None, found.code + constructor_arguments(found, arguments), value), f"{found.name} is deployed"
    )


@contract.command("call")
@address_argument("address")
@click.argument("function")
@click.argument("arguments", nargs=-1)
@click.option("--abi", "abi_file", metavar="FILE", help="ABI or artifact; FUNCTION may then be a name alone.")
@click.option(
    "--from", "caller", metavar="ADDRESS", callback=reads_optional(Field.address), help="Account that seems to ask."
)
@block_option
@rpc_option
@json_option
@reports_errors
def call_(
    *,
    address: Address,
    function: str,
    arguments: tuple[str, ...],
    abi_file: str | None,
    caller: Address | None,
    block: str,
    rpc_url: str,
    as_json: bool,
) -> None:
    """Ask the contract at ADDRESS; nothing is sent and nothing changes. `cmt tx send --call` changes things.

    \b
    Examples:
      cmt contract call 0x5FbDB2315678afecb367f032d93F642f64180aa3 "balanceOf(address) returns (uint256)" \\
          0x70997970C51812dc3A010C7d01b50e0d17dc79C8
      cmt contract call 0x5FbDB2315678afecb367f032d93F642f64180aa3 totalSupply --abi out/Token.sol/Token.json
    """
    abi = None if abi_file is None else read_abi(abi_file)
    entry = _entry(function, len(arguments), abi)
    data = function_of(entry).selector + encode_arguments(entry, arguments)
    message = {"to": "0x" + address.hex(), "data": "0x" + data.hex()}
    if caller is not None:
        message["from"] = "0x" + caller.hex()
    try:
        output = bytes.fromhex(rpc(rpc_url, "eth_call", message, block)[2:])
    except RpcRefusal as refusal:
        if refusal.code != REVERTED:
            raise
        raise CommandError(explain_revert(refusal.data, abi) or str(refusal)) from refusal
    if not output and rpc(rpc_url, "eth_getCode", "0x" + address.hex(), block) == "0x":
        raise CommandError(f"{checksum(address)} has no code in block {block}")
    results = read_results(entry, output) if entry["outputs"] else []
    text = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in results)
    answer({"results": results, "output": "0x" + output.hex()}, text or "0x" + output.hex(), as_json=as_json)


@contract.command()
@address_argument("address")
@click.argument("artifact")
@click.argument("arguments", nargs=-1)
@_contract_option
@click.option(
    "--source", "source_file", metavar="FILE", help="solc's standard JSON input, where the artifact's tool left none."
)
@click.option("--compiler", metavar="VERSION", help="solc's long version, where the artifact does not say it.")
@click.option("--constructor-data", metavar="HEX", help="The constructor's arguments, encoded, instead of ARGUMENTS.")
@click.option("--api", "api_url", metavar="URL", help="Etherscan-shaped API.  [default: /api of --rpc]")
@rpc_option
@json_option
@reports_errors
def verify(
    *,
    address: Address,
    artifact: str,
    arguments: tuple[str, ...],
    wanted: str | None,
    source_file: str | None,
    compiler: str | None,
    constructor_data: str | None,
    api_url: str | None,
    rpc_url: str,
    as_json: bool,
) -> None:
    """Submit the sources of ARTIFACT, deployed at ADDRESS with ARGUMENTS, to the node, and wait for its verdict.

    \b
    Example:
      cmt contract verify 0x5FbDB2315678afecb367f032d93F642f64180aa3 out/Token.sol/Token.json "My token" 1e24
    """
    found = read_artifact(artifact, wanted)
    url = api_url or rpc_url.rstrip("/") + "/api"
    encoded = (
        constructor_data.removeprefix("0x")
        if constructor_data is not None
        else constructor_arguments(found, arguments).hex()
    )
    form = _submission(found, address, encoded, source_file, compiler)
    submitted = post_form(url, {"module": "contract", "action": "verifysourcecode"}, form)
    verdict = _wait_for(url, submitted) if submitted["status"] == "1" else submitted
    is_known = "already verified" in str(verdict["result"])
    if verdict["status"] != "1" and not is_known:
        raise CommandError(str(verdict["result"]))
    about = post_form(url, {"module": "contract", "action": "getsourcecode", "address": "0x" + address.hex()}, None)
    match = about["result"][0].get("MatchType", "")
    how = "was verified before" if is_known else "is verified"
    text = f"{found.name} at {checksum(address)} {how}: {match or 'unknown'} match"
    answer(
        {
            "address": checksum(address),
            "contract": found.name,
            "match": match,
            "result": verdict["result"],
            "message": about["message"],
        },
        text,
        as_json=as_json,
    )


def constructor_arguments(artifact: Artifact, arguments: tuple[str, ...]) -> bytes:
    """Return the encoded arguments. Raises CommandError for others than the constructor takes."""
    if artifact.abi is None:
        if arguments:
            raise CommandError(
                "without an ABI the types of the arguments are not known; append them to the code, encoded"
            )
        return b""
    inputs: list[Parameter] = next((each["inputs"] for each in artifact.abi if each.get("type") == "constructor"), [])
    return encode_arguments(
        Entry(name="constructor", type="function", inputs=plain(inputs), outputs=[], stateMutability="nonpayable"),
        arguments,
    )


def _entry(function: str, count: int, abi: list[Any] | None) -> Entry:
    """Return the function that is meant: typed in full, or named alone with an ABI. Raises CommandError."""
    if abi is None or "(" in function:
        typed = parse_function(function)
        known = [] if abi is None else _candidates(typed["name"], len(typed["inputs"]), abi)
        if typed["outputs"] or not known:
            return typed
        kinds = [parameter["type"] for parameter in typed["inputs"]]
        return next((each for each in known if [p["type"] for p in each["inputs"]] == kinds), typed)
    known = _candidates(function, count, abi)
    if len(known) != 1:
        names = ", ".join(sorted({each["name"] for each in abi if each.get("type") == "function"}))
        raise CommandError(
            f"the ABI has {len(known)} functions {function} with {count} arguments; it has: {names[:500]}"
        )
    return known[0]


def _candidates(name: str, count: int, abi: list[Any]) -> list[Entry]:
    return [
        Entry(
            type="function",
            name=name,
            inputs=plain(each["inputs"]),
            outputs=plain(each["outputs"]),
            stateMutability=each["stateMutability"],
        )
        for each in abi
        if each.get("type") == "function" and each["name"] == name and len(each["inputs"]) == count
    ]


def _submission(
    artifact: Artifact, address: Address, arguments: str, source_file: str | None, compiler: str | None
) -> dict[str, str]:
    source = artifact.input
    if source_file is not None:
        with click.open_file(source_file, encoding="utf-8") as file:
            source = json.load(file)
    version = compiler or artifact.compiler
    if source is None:
        raise CommandError(
            f"the sources of {artifact.name} were not found beside the artifact; give solc's standard JSON input with "
            "--source"
        )
    if version is None:
        raise CommandError(
            "which solc compiled it is not known; say it with --compiler, such as 0.8.30+commit.73712a01"
        )
    form = {
        "codeformat": "solidity-standard-json-input",
        "contractaddress": "0x" + address.hex(),
        "contractname": f"{artifact.path}:{artifact.name}" if artifact.path else artifact.name,
        "compilerversion": f"v{version.removeprefix('v')}",
        "constructorArguements": arguments,
        "sourceCode": json.dumps(source),
    }
    return form if artifact.metadata is None else form | {"metadata": artifact.metadata}


def _wait_for(url: str, submitted: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + VERIFY_SECONDS  # noqa: TID251  (a person waits)
    query = {"module": "contract", "action": "checkverifystatus", "guid": str(submitted["result"])}
    while True:
        verdict = post_form(url, query, None)
        if verdict["result"] != "Pending in queue":
            return verdict
        if time.monotonic() > deadline:  # noqa: TID251
            raise CommandError(f"no verdict after {VERIFY_SECONDS} s; ask {url}?{urllib.parse.urlencode(query)}")
        time.sleep(POLL_SECONDS)
