"""cmt attach: a Python console at a running node, with what one would otherwise type first.

    w3        web3.Web3, connected            staking slashing gov vesting fees   system contracts with their ABIs
    cmt       cmt.status(hash) is the method  unlock(address)                     sign with that account, here
              cmt_status of the node

web3 and IPython are an extra that the node itself does without: missing, the command says how they are installed; with
web3 alone it uses Python's own console.
"""

from __future__ import annotations

import ast
import code
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from cybermiles.accounts.keystore import Keystore
from cybermiles.chain.reading import Field, checksum
from cybermiles.cli.funded import funded_accounts
from cybermiles.cli.options import home_option, password_option, read_password, resolve_home, rpc_option
from cybermiles.cli.output import CommandError, answer, json_option, reports_errors
from cybermiles.cli.rpc_client import call as rpc
from cybermiles.node.data_dir import DataDir
from cybermiles.system.abi import load_document
from cybermiles.system.interface import ADDRESSES, FEES_ABI, GOVERNANCE_ABI, SLASHING_ABI, STAKING_ABI, VESTING_ABI

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

INSTALL = "pip install 'cybermiles[attach]'"
_CONTRACTS = {
    "staking": STAKING_ABI,
    "slashing": SLASHING_ABI,
    "gov": GOVERNANCE_ABI,
    "vesting": VESTING_ABI,
    "fees": FEES_ABI,
}


@click.command()
@click.option(
    "--exec", "codes", multiple=True, metavar="CODE", help="Run CODE instead of asking for it; may be repeated."
)
@home_option
@password_option
@rpc_option
@json_option
@reports_errors
def attach(
    *, codes: tuple[str, ...], home: Path | None, password_file: Path | None, rpc_url: str, as_json: bool
) -> None:
    """Open a Python console at a node: w3, cmt, staking, slashing, gov, vesting, fees, unlock.

    Needs the extra `attach`. With --exec the value of the last expression is the answer.

    \b
    Examples:
      cmt attach
      cmt attach --exec "staking.functions.supply().call()"
      cmt attach --exec "cmt.transactionStatus('0x5c50…')" --json
    """
    if as_json and not codes:
        raise click.UsageError("--json answers with the value of --exec")
    names = _names(rpc_url, lambda: read_password(password_file, confirm=False), home)
    if not codes:
        _interact(names, _banner(rpc_url, names["w3"]))
        return
    value = None
    for text in codes:
        value = run(text, names)
    if as_json or value is not None:
        shown = _as_json(value) if as_json else None
        answer({"result": shown}, value if isinstance(value, str) else repr(value), as_json=as_json)


class Methods:
    """The node's methods of one namespace as attributes: `cmt.params()` asks for cmt_params."""

    def __init__(self, url: str, namespace: str) -> None:
        self._url = url
        self._namespace = namespace

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = f"{self._namespace}_{name}"
        if name.startswith("_"):
            raise AttributeError(method)
        return lambda *params: rpc(self._url, method, *params)

    def __dir__(self) -> list[str]:
        """Name what the node serves, for completion; a node that does not describe itself names nothing."""
        try:
            methods = rpc(self._url, "rpc_discover")["methods"]
        except CommandError:
            return []
        prefix = f"{self._namespace}_"
        return [entry["name"].removeprefix(prefix) for entry in methods if entry["name"].startswith(prefix)]

    def __repr__(self) -> str:
        return f"<methods {self._namespace}_… of {self._url}>"


class _Runner(code.InteractiveInterpreter):
    """Runs code and keeps what it raised instead of printing it."""

    error: BaseException | None = None

    def showtraceback(self) -> None:
        self.error = sys.exc_info()[1]


def run(text: str, names: dict[str, Any]) -> object:
    """Run code and return the value of its last expression, None without one; `_` is that value afterwards.

    Raises CommandError for what the code raises.
    """
    try:
        tree = ast.parse(text, "--exec")
    except SyntaxError as error:
        raise CommandError(f"--exec {text}: {error.msg}") from error
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = tree.body[-1]
        tree.body[-1] = ast.copy_location(ast.Assign([ast.Name("_", ast.Store())], last.value), last)
        ast.fix_missing_locations(tree)
    names["_"] = None
    runner = _Runner(names)
    runner.runcode(compile(tree, "--exec", "exec"))
    if isinstance(runner.error, CommandError):
        raise runner.error
    if runner.error is not None:
        raise CommandError(f"{type(runner.error).__name__}: {runner.error}") from runner.error
    return names["_"]


def _names(url: str, ask_password: Callable[[], str], home: Path | None) -> dict[str, Any]:
    """Return what the console knows. Raises CommandError where web3 is missing or no node answers."""
    try:
        from web3 import HTTPProvider, Web3  # noqa: PLC0415  (an optional extra)
    except ImportError as error:
        raise CommandError(f"cmt attach needs web3, which is not installed: {INSTALL}") from error
    rpc(url, "eth_chainId")
    w3 = Web3(HTTPProvider(url))
    contracts = {
        name: w3.eth.contract(address=checksum(ADDRESSES[interface]), abi=load_document(interface)["abi"])
        for name, interface in _CONTRACTS.items()
    }

    def unlock(address: str) -> str:
        """Sign with this account from now on; what is sent without `from` is its. Return its address."""
        from web3.middleware import SignAndSendRawMiddlewareBuilder  # noqa: PLC0415  (an optional extra)

        key = _private_key(address, ask_password, home)
        w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(key), layer=0)
        w3.eth.default_account = signer = checksum(Field(address, "address").address())
        return signer

    return {"w3": w3, "Web3": Web3, "cmt": Methods(url, "cmt"), "unlock": unlock, **contracts}


def _private_key(text: str, ask_password: Callable[[], str], home: Path | None) -> bytes:
    """Return the key of an account of the keystore, or of one that every devnet funds."""
    address = Field(text, "address").address()
    keystore = Keystore(DataDir(resolve_home(home)).keystore)
    public = funded_accounts().get(address)
    if public is not None and all(known.address != address for known in keystore.list()):
        return bytes.fromhex(public[2:])
    return keystore.unlock(address, ask_password())


def _banner(url: str, w3: Any) -> str:  # noqa: ANN401  (web3 is optional)
    return (
        f"{w3.client_version} at {url}, chain {w3.eth.chain_id}, block {w3.eth.block_number}\n"
        f"w3, cmt, {', '.join(_CONTRACTS)}, unlock(address)      staking.functions.supply().call()\n"
        "Transactions are signed here, never by the node. Ctrl-D ends."
    )


def _interact(names: dict[str, Any], banner: str) -> None:
    try:
        import IPython  # noqa: PLC0415  (an optional extra)
        from traitlets.config import Config  # noqa: PLC0415
    except ImportError:
        code.interact(
            f"{banner}\n(IPython is not installed, this is Python's own console: {INSTALL})", local=names, exitmsg=""
        )
        return
    config = Config()
    config.TerminalInteractiveShell.banner1 = banner + "\n"
    config.TerminalInteractiveShell.confirm_exit = False
    config.TerminalInteractiveShell.enable_tip = False
    IPython.start_ipython(argv=[], user_ns=names, config=config)


def _as_json(value: object) -> Any:  # noqa: ANN401  (JSON)
    """Return a value as JSON has it. Raises CommandError where it has no such value."""
    try:
        return json.loads(json.dumps(value, default=_plain))
    except (TypeError, ValueError, RecursionError) as error:
        raise CommandError(f"the value has no form in JSON: {error}") from error


def _plain(value: object) -> object:
    """Return what JSON lacks as something that it has."""
    match value:
        case bytes():
            return "0x" + value.hex()
        case dict() | list() | tuple():
            return value
        case _ if hasattr(value, "items"):
            return dict(value.items())
        case _:
            return str(value)
