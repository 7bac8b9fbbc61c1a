"""What the rules of sponsorship refuse, as the fees contract's custom errors."""

from __future__ import annotations

from cybermiles.errors import Refusal


class NotAllowed(Refusal):
    """The caller is neither the target nor its owner."""


class NotCreator(Refusal):
    """(target): the caller did not create the target at that nonce."""


class HasOwner(Refusal):
    """(owner): the target has an owner already."""


class NoOwner(Refusal):
    """(target): nobody could ever use or withdraw a deposit for it, or the zero address would own it."""


class NothingSent(Refusal):
    """The amount is 0."""


class BadRecipient(Refusal):
    """(to): nobody can spend from this address."""


class NotEnoughDeposit(Refusal):
    """(have, wanted): the deposit is smaller than what is asked for. Wei."""
