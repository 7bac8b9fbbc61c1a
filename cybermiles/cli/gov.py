"""cmt gov: proposals, votes, parameters and frozen accounts. Making a proposal is in `cli.gov_proposals`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cybermiles.chain.reading import Field, checksum
from cybermiles.cli import gov_proposals
from cybermiles.cli.contracts import ask, ask_all, block_option, cmt, lines, table
from cybermiles.cli.options import rpc_option
from cybermiles.cli.output import answer, json_option, reports_errors
from cybermiles.cli.rpc_client import call as rpc
from cybermiles.cli.victims import Victim, merkle_proof, read_victims
from cybermiles.cli.wallet import address_argument, coins_argument, sends
from cybermiles.system.interface import GOVERNANCE_ABI, call_of

if TYPE_CHECKING:
    from typing import Any

    from cybermiles.cli.wallet import Wallet
    from cybermiles.types.primitives import Address

CHOICES = {"yes": 1, "no": 2}
_PAGE = 20
_DETAILS = {"RecoverFunds": ("recovery", "vault"), "ChangeParam": ("paramChange",), "Upgrade": ("upgrade",)}
_LISTED = ("id", "kind", "status", "closesTime", "yes", "no", "title")
_EVERYTHING = 100

proposal_argument = click.argument("proposal", type=click.IntRange(1))


@click.group()
def gov() -> None:
    """Proposals, votes, and the chain's parameters."""


@gov.command()
@click.option("--open", "only_open", is_flag=True, help="Those that are not over.")
@block_option
@rpc_option
@json_option
@reports_errors
def proposals(*, only_open: bool, block: str, rpc_url: str, as_json: bool) -> None:
    """List the proposals, the newest last.

    \b
    Example:
      cmt gov proposals --open
    """
    if only_open:
        ids = ask(rpc_url, GOVERNANCE_ABI, "openProposals", block=block)
        found = [ask(rpc_url, GOVERNANCE_ABI, "proposal", int(id_), block=block) for id_ in sorted(map(int, ids))]
    else:
        found = ask_all(rpc_url, GOVERNANCE_ABI, "proposals", block=block, page=_PAGE)
    rows = [{**proposal, "yes": _part(proposal, "yesPower"), "no": _part(proposal, "noPower")} for proposal in found]
    answer({"proposals": found}, table(rows, _LISTED) if rows else "no proposals", as_json=as_json)


@gov.command()
@proposal_argument
@block_option
@rpc_option
@json_option
@reports_errors
def show(*, proposal: int, block: str, rpc_url: str, as_json: bool) -> None:
    """Show a proposal: what it says, when it is voted on, and how.

    \b
    Example:
      cmt gov show 1
    """
    data = {"proposal": ask(rpc_url, GOVERNANCE_ABI, "proposal", proposal, block=block)}
    for function in _DETAILS.get(data["proposal"]["kind"], ()):
        data[function] = ask(rpc_url, GOVERNANCE_ABI, function, proposal, block=block)
    answer(data, "\n\n".join(map(lines, data.values())), as_json=as_json)


@gov.command()
@proposal_argument
@click.argument("choice", type=click.Choice(list(CHOICES)))
@sends
def vote(*, wallet: Wallet, proposal: int, choice: str) -> None:
    """Vote on PROPOSAL with the stake one had when it was made. The last vote counts.

    A delegator's vote takes its stake out of its validator's vote.

    \b
    Example:
      cmt gov vote 1 yes
    """
    wallet.send(call_of(GOVERNANCE_ABI, "vote", proposal, CHOICES[choice]), f"voted {choice} on proposal {proposal}")


@gov.command()
@proposal_argument
@sends
def hold(*, wallet: Wallet, proposal: int) -> None:
    """Support freezing the account of a recovery. Validators with a third of the power freeze it.

    \b
    Example:
      cmt gov hold 1
    """
    wallet.send(call_of(GOVERNANCE_ABI, "supportHold", proposal), f"supported the freeze of proposal {proposal}")


@gov.command()
@proposal_argument
@sends
def cancel(*, wallet: Wallet, proposal: int) -> None:
    """Cancel one's own proposal, or support cancelling another as a validator: a third of the power does it.

    \b
    Example:
      cmt gov cancel 1
    """
    wallet.send(call_of(GOVERNANCE_ABI, "cancel", proposal), f"cancelled, or supported cancelling, proposal {proposal}")


@gov.command()
@proposal_argument
@address_argument("victim")
@coins_argument()
@click.option(
    "--victims",
    "list_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The published list of the recovery: lines of ADDRESS,CMT.",
)
@sends
def claim(*, wallet: Wallet, proposal: int, victim: Address, amount: int, list_file: Path) -> None:
    """Have a listed victim paid out of what PROPOSAL recovered. Anybody may send this.

    \b
    Example:
      cmt gov claim 1 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 1200.5 --victims victims.csv
    """
    proof = merkle_proof(read_victims(list_file), Victim(victim, amount))
    wallet.send(call_of(GOVERNANCE_ABI, "claim", proposal, victim, amount, proof), f"{checksum(victim)} is paid")


@gov.command("vote-of")
@proposal_argument
@address_argument("voter")
@block_option
@rpc_option
@json_option
@reports_errors
def vote_of(*, proposal: int, voter: Address, block: str, rpc_url: str, as_json: bool) -> None:
    """Show how VOTER voted on PROPOSAL.

    \b
    Example:
      cmt gov vote-of 1 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
    """
    data = ask(rpc_url, GOVERNANCE_ABI, "voteOf", proposal, voter, block=block)
    answer(data, lines(data), as_json=as_json)


@gov.command()
@block_option
@rpc_option
@json_option
@reports_errors
def frozen(*, block: str, rpc_url: str, as_json: bool) -> None:
    """List the frozen accounts, and until when they are.

    \b
    Example:
      cmt gov frozen
    """
    rows = []
    for account in ask(rpc_url, GOVERNANCE_ABI, "heldAccounts", block=block):
        held = ask(rpc_url, GOVERNANCE_ABI, "held", Field(account, "held").address(), block=block)
        rows.append({"account": account, **held})
    text = table(rows, ("account", "since", "untilTime")) if rows else "no account is frozen"
    answer({"frozen": rows}, text, as_json=as_json)


@gov.command()
@rpc_option
@json_option
@reports_errors
def params(*, rpc_url: str, as_json: bool) -> None:
    """List the chain's parameters for the next block.

    \b
    Example:
      cmt gov params
    """
    data = rpc(rpc_url, "cmt_params")
    width = max(map(len, data))
    answer(data, "\n".join(f"{name:{width}}  {value}" for name, value in data.items()), as_json=as_json)


@gov.command()
@click.argument("name")
@block_option
@rpc_option
@json_option
@reports_errors
def param(*, name: str, block: str, rpc_url: str, as_json: bool) -> None:
    """Show parameter NAME: value, unit, bounds, and its changes since genesis.

    \b
    Example:
      cmt gov param free_slots_per_block
    """
    data = {
        "param": ask(rpc_url, GOVERNANCE_ABI, "param", name, block=block),
        "history": ask_all(rpc_url, GOVERNANCE_ABI, "paramHistory", name, block=block),
    }
    text = [f"{key}  {value}" for key, value in data["param"].items()]
    text += [f"since block {point['fromBlock']}: {point['value']}" for point in data["history"]]
    answer(data, "\n".join(text), as_json=as_json)


def _part(proposal: dict[str, Any], side: str) -> str:
    """Return a side's part of all power, in words that need no sum."""
    total, power = int(proposal["totalPower"]), int(proposal[side])
    share = power * _EVERYTHING // total if total else 0
    return f"{share} % ({cmt(power)} CMT)"


for command in gov_proposals.COMMANDS:
    gov.add_command(command)
