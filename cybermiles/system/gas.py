"""What a call of a system contract costs: a flat price per method, and one per item for what returns lists.

Prices do not depend on what storage was touched before, so a wallet's estimate holds when the transaction runs. The
parameter `system_gas_factor` scales all gas prices at once (rounded up to whole gas); compute units measure time and
are not scaled. What a holder does stays far under the free lane's 500 000 gas at the largest factor, 2, and with a
wallet's buffer of half the estimate: (21 000 + calldata + 2 · 150 000) · 1.5 < 500 000.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cybermiles.chain.params import ChainParams

REFUSED_COMPUTE_UNITS = 15
"""A call that names no method, or that its method refuses by mutability: it costs no gas beyond the CALL's."""
ITEM_GAS = 3_000
"""One item of a list that is returned."""
ITEM_COMPUTE_UNITS = 40
MAX_CALLDATA_BYTES = 32 * 1024
"""Longer calldata reverts: no argument list needs it, and decoding is covered by the flat price."""


@dataclass(frozen=True, slots=True)
class MethodCost:
    """Price of one method."""

    gas: int
    """Beside the transaction's or the CALL's own."""
    compute_units: int


VIEW = MethodCost(5_000, 80)
_HOLDER = MethodCost(120_000, 500)
_VALIDATOR = MethodCost(100_000, 400)
_CANDIDACY = MethodCost(1_000_000, 1_500)
_PROPOSAL = MethodCost(2_000_000, 3_000)

COSTS: dict[str, dict[str, MethodCost]] = {
    "ICmtStaking": {
        "delegate": _HOLDER,
        "undelegate": _HOLDER,
        "redelegate": MethodCost(150_000, 800),
        "declareCandidacy": _CANDIDACY,
        "updateProfile": MethodCost(200_000, 600),
        "updateCandidacy": _CANDIDACY,
        "rotateConsensusKey": MethodCost(200_000, 600),
        "setCompRateFor": MethodCost(150_000, 800),
        "activate": _VALIDATOR,
        "deactivate": _VALIDATOR,
        "withdrawCandidacy": MethodCost(150_000, 800),
        "offerOwnership": _VALIDATOR,
        "acceptOwnership": _VALIDATOR,
        "setVerified": _VALIDATOR,
    },
    "ICmtSlashing": {
        "submitEvidence": MethodCost(150_000, 2_000),
    },
    "ICmtGovernance": {
        "proposeRecovery": _PROPOSAL,
        "proposeParam": _PROPOSAL,
        "proposeUpgrade": _PROPOSAL,
        "proposeSignal": _PROPOSAL,
        "vote": _HOLDER,
        "supportHold": _HOLDER,
        "cancel": _HOLDER,
        "claim": _HOLDER,
    },
    "ICmtVesting": {
        "release": _HOLDER,
        "delegateLocked": MethodCost(150_000, 800),
        "undelegateLocked": MethodCost(150_000, 800),
    },
    "ICmtFees": {
        "quote": MethodCost(10_000, 150),
        "claimSponsorship": MethodCost(50_000, 200),
        "setSponsorOwner": MethodCost(50_000, 200),
        "fundSponsorship": MethodCost(50_000, 200),
        "setSponsorRules": MethodCost(50_000, 200),
        "setSponsoredUser": MethodCost(50_000, 200),
        "withdrawSponsorship": MethodCost(50_000, 200),
    },
}
"""Interface and function to price; functions that only read and are not here cost `VIEW`."""


def scaled(gas: int, params: ChainParams) -> int:
    """Return a price under the parameters in force, rounded up to whole gas."""
    factor = params.system_gas_factor
    return -(-gas * factor.numerator // factor.denominator)
