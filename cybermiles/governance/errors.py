"""What governance refuses, as the contract's custom errors; each name and its arguments stand in the ABI."""

from __future__ import annotations

from cybermiles.errors import Refusal


class BondTooLow(Refusal):
    """(need): the value that came with the proposal is under the bond. Wei."""


class TextTooLong(Refusal):
    """(field, limit): a text of the proposal is longer than it may be. Bytes."""


class TooManyProposals(Refusal):
    """(limit): as many proposals of this account, or of all accounts, are not over."""


class BadClosingTime(Refusal):
    """(earliest, latest): the vote cannot close then. Seconds since 1970."""


class UnknownProposal(Refusal):
    """(id): there is no such proposal, or it is of another kind."""


class NotVoting(Refusal):
    """(id): votes on the proposal are not taken yet, or not any more."""


class NotAMember(Refusal):
    """The caller had no power when the proposal was made."""


class NotValidator(Refusal):
    """The caller owned no validator when the proposal was made."""


class BadChoice(Refusal):
    """A vote is Yes or No."""


class AlreadyCounted(Refusal):
    """(id): the validator has supported this already."""


class NotARecovery(Refusal):
    """(id): only a recovery freezes an account."""


class NotOpen(Refusal):
    """(id): the proposal is over, or past the stage for this."""


class ProtectedAccount(Refusal):
    """(account): system contracts, precompiles and predeploys neither lose nor receive recovered funds."""


class NothingToRecover(Refusal):
    """The amount is 0, or nothing of it is left."""


class AmountOverCap(Refusal):
    """(cap, wanted): one recovery may not move so much of the supply. Wei."""


class AmountOverBalance(Refusal):
    """(have, wanted): the account has less. Wei."""


class FreezeSpent(Refusal):
    """(account): it has been frozen for as long as an account may ever be."""


class UnknownParam(Refusal):
    """(name): there is no such parameter."""


class NotChangeable(Refusal):
    """(name): consensus runs by the parameter; only an upgrade changes it."""


class BadParamValue(Refusal):
    """(name, value): not of the parameter's kind, out of bounds, against another parameter, or no change."""


class StepTooLarge(Refusal):
    """(name, lowest, highest): one proposal may not change the parameter so much."""


class TooEarly(Refusal):
    """(earliest): the change cannot take effect before this block."""


class NotNewer(Refusal):
    """(app_version): an upgrade goes to a version above the one in force."""


class NoVault(Refusal):
    """(id): the proposal has recovered nothing."""


class VaultIsClosed(Refusal):
    """(id): the time for claims is over."""


class BadProof(Refusal):
    """Victim and amount are not among those that members voted on."""


class AlreadyClaimed(Refusal):
    """(victim): it was paid."""


class InterestedParty(Refusal):
    """(victim): the proposer and validators are paid only where four fifths of power said yes."""


class PageTooLong(Refusal):
    """(limit): a page of a list has this many items at most."""
