"""What the staking rules refuse, as the contracts' custom errors; each name and its arguments stand in an ABI."""

from __future__ import annotations

from cybermiles.errors import Refusal


class UnknownValidator(Refusal):
    """(address): nobody with this address owns a candidacy."""


class StakeCapReached(Refusal):
    """(cap, wanted): the validator takes no more stake than its cap. Wei."""


class SelfStakeTooLow(Refusal):
    """(need, have): the owner's own stake would be under its part of the cap. Wei."""


class NotEnoughStake(Refusal):
    """(have, wanted): the delegation is smaller than what is asked for. Wei."""


class BelowMinimum(Refusal):
    """(minimum): the amount, or what would be left of a delegation, is too small. Wei."""


class BadConsensusKey(Refusal):
    """The key is not 32 bytes."""


class BadKeyProof(Refusal):
    """The signature does not prove that the owner's side holds the key."""


class ConsensusKeyUsed(Refusal):
    """A key belongs to one validator for ever."""


class AlreadyValidator(Refusal):
    """(owner): the account owns a candidacy."""


class BadCompRate(Refusal):
    """(limit, wanted): a rate is from 1 to the limit. Parts per million."""


class TooManyRates(Refusal):
    """(limit): stake under as many different rates is with this validator already."""


class TooManyExits(Refusal):
    """(limit): as many exits of the holder are under way."""


class TextTooLong(Refusal):
    """(field, limit): a profile's text is longer than it may be. Bytes."""


class SameValidator(Refusal):
    """Stake cannot move to where it is."""


class CooldownUntil(Refusal):
    """(time): the delegation came from another validator a short while ago. Seconds since 1970."""


class ValidatorJailed(Refusal):
    """(time): the validator was absent; it may activate again from then on. Seconds since 1970."""


class ValidatorTombstoned(Refusal):
    """The validator signed twice: barred for ever."""


class ValidatorWithdrawn(Refusal):
    """The candidacy was withdrawn for ever."""


class AlreadyActive(Refusal):
    """(active): the candidacy is in that state already."""


class UnknownOffer(Refusal):
    """(id): there is no such offer, or a newer one took its place."""


class NotAllowed(Refusal):
    """The caller may not do this, or it can never be done to this address."""


class EvidenceRejected(Refusal):
    """(why): the messages prove no punishable offence."""
