"""Refusals of the system contracts as sentences that say what to do: for the command line and for error messages.

Each names the error's arguments as the ABI does, with how they are shown: `cmt` an amount, `time` seconds since 1970,
`ppm` a rate in percent. An error without a sentence is shown by its name, so that a newer contract's is not lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.chain.fees import decimal
from cybermiles.chain.reading import format_time
from cybermiles.system.interface import read_refusal
from cybermiles.types.primitives import WEI_PER_CMT

if TYPE_CHECKING:
    from cybermiles.system.interface import Named, NamedRefusal

SENTENCES: dict[str, str] = {
    # staking
    "UnknownValidator": "{validator} owns no candidacy; `cmt stake validators` lists who does",
    "StakeCapReached": "the validator's stake would become {wanted:cmt} CMT, over its cap of {cap:cmt} CMT",
    "SelfStakeTooLow": "the owner's own stake would be {have:cmt} CMT, but must be {need:cmt} CMT at least; the "
    "owner adds to it with `cmt stake delegate`",
    "NotEnoughStake": "{wanted:cmt} CMT are asked for, but only {have:cmt} CMT are there",
    "BelowMinimum": "the least delegation is {minimum:cmt} CMT; leave as much, or take everything out",
    "BadConsensusKey": "the consensus key is not 32 bytes of ed25519",
    "BadKeyProof": "the proof is no signature of the consensus key for this owner and this chain",
    "ConsensusKeyUsed": "the consensus key has belonged to a validator before; a key belongs to one for ever",
    "AlreadyValidator": "{owner} owns a candidacy already; each account owns one at most",
    "BadCompRate": "a rate of {wanted:ppm} is not allowed; it is over 0 % and {limit:ppm} at most",
    "TextTooLong": "the text of {field} is longer than {limitBytes} bytes",
    "SameValidator": "the stake is with this validator already",
    "CooldownUntil": "this stake came from another validator a short while ago; it may move on from {time:time} on",
    "ValidatorJailed": "the validator was absent and is jailed; it may activate again from {untilTime:time} on",
    "ValidatorTombstoned": "the validator signed twice and is barred for ever",
    "ValidatorWithdrawn": "the candidacy was withdrawn for ever",
    "TooManyRates": "stake under {limit} different rates is with this validator already; use one of those",
    "TooManyExits": "{limit} exits of this account are under way already; wait until one is paid",
    "AlreadyActive": "the candidacy's state is that already (active: {active})",
    "UnknownOffer": "there is no ownership on offer under number {offerId}, or a newer offer took its place",
    "NotAllowed": "this account may not do that",
    "PageTooLong": "a page of a list has {limit} items at most",
    # slashing
    "EvidenceRejected": "the messages prove no punishable offence: {why}",
    # governance
    "BondTooLow": "the bond is too small: a proposal needs {need:cmt} CMT",
    "TooManyProposals": "{limit} proposals are open already; wait until one is over",
    "BadClosingTime": "the vote may close between {earliest:time} and {latest:time}",
    "UnknownProposal": "there is no such proposal of this kind: {id}; `cmt gov proposals` lists them",
    "NotVoting": "votes on proposal {id} are not taken now; `cmt gov show {id}` says when they are",
    "NotAMember": "this account had no stake when the proposal was made, so it has no vote on it",
    "NotValidator": "this account owned no validator when the proposal was made",
    "BadChoice": "a vote is yes or no",
    "AlreadyCounted": "this validator has supported that already for proposal {id}",
    "NotARecovery": "proposal {id} recovers no funds, so it freezes nobody",
    "NotOpen": "proposal {id} is over, or past the stage for this",
    "ProtectedAccount": "{account} belongs to the chain itself; recovered funds neither come from there nor go there",
    "NothingToRecover": "there is nothing to recover",
    "AmountOverCap": "{wanted:cmt} CMT are more than one recovery may move: {cap:cmt} CMT",
    "AmountOverBalance": "{wanted:cmt} CMT are asked for, but the account has {have:cmt} CMT",
    "FreezeSpent": "{account} has been frozen for as long as an account may ever be",
    "UnknownParam": "there is no parameter {name}; `cmt gov params` lists them",
    "NotChangeable": "{name} is what consensus runs by; no vote changes it, an upgrade may",
    "BadParamValue": "{name} cannot become {value}: no change, out of bounds, or against another parameter",
    "StepTooLarge": "one proposal may set {name} between {lowest} and {highest}; go further by several",
    "TooEarly": "it may take effect from block {earliestBlock} on",
    "NotNewer": "an upgrade goes to a version above {appVersion}, which is in force",
    "NoVault": "proposal {id} has recovered nothing",
    "VaultIsClosed": "the time to claim from proposal {id} is over",
    "BadProof": "victim and amount are not on the list that was voted on, or the list is another one",
    "AlreadyClaimed": "{victim} was paid already",
    "InterestedParty": "{victim} proposed the recovery or owns a validator, and fewer than four fifths said yes",
    # vesting
    "NoGrant": "{holder} has no locked coins",
    "NothingToRelease": "nothing is released yet; `cmt vesting show` says when it is",
    "NotEnoughLocked": "{wanted:cmt} CMT are asked for, but only {have:cmt} CMT are locked here and not staked",
    # fees
    "NotCreator": "this account did not create {target} at that nonce; `cmt sponsor claim` says which nonce is meant",
    "HasOwner": "{owner} owns this sponsorship already",
    "NoOwner": "nobody owns the sponsorship of {target} yet; its creator takes it with `cmt sponsor claim`",
    "NothingSent": "no coins came with the call",
    "BadRecipient": "coins cannot be paid to {to}",
    "NotEnoughDeposit": "{wanted:cmt} CMT are asked for, but the deposit has {have:cmt} CMT",
}
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class _Shown:
    value: Named

    def __format__(self, how: str) -> str:
        match how:
            case "cmt":
                return decimal(int(str(self.value)), WEI_PER_CMT)
            case "time":
                return format_time(int(str(self.value)))
            case "ppm":
                return f"{decimal(int(str(self.value)), 10_000)} %"
            case _:
                return str(self.value).lower() if isinstance(self.value, bool) else str(self.value)


def explain(data: bytes) -> str | None:
    """Return what revert data of a system contract means, None where it is none of its errors."""
    refusal = read_refusal(data)
    return None if refusal is None else sentence(refusal)


def sentence(refusal: NamedRefusal) -> str:
    """Return what a refusal means."""
    template = SENTENCES.get(refusal.name)
    if template is None:
        words = _WORDS.sub(" ", refusal.name).lower()
        arguments = ", ".join(f"{name} {value}" for name, value in refusal.arguments.items())
        return f"{words} ({arguments})" if arguments else words
    return template.format(**{name: _Shown(value) for name, value in refusal.arguments.items()})
