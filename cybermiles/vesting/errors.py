"""What the rules of vesting refuse, as the vesting contract's custom errors."""

from __future__ import annotations

from cybermiles.errors import Refusal


class NoGrant(Refusal):
    """(holder): the account has no grant."""


class NothingToRelease(Refusal):
    """Nothing is due yet, or what is due is staked."""


class NotEnoughLocked(Refusal):
    """(have, wanted): the grant has fewer coins that are not staked. Wei."""
