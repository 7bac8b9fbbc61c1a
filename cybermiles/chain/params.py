"""Every number of the chain that governance may change, with its unit, default and bounds.

Parameters are part of consensus: each header commits to their hash. In documents they are decimal strings
(ratios are "8/100"), so that no reader's number type can bend them. Bounds are part of the type: the original
took any number that parsed, so that one vote could set an inflation of 800 % or divide by zero.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from fractions import Fraction
from typing import TYPE_CHECKING

from cybermiles.chain.reading import nearest
from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import ConfigError
from cybermiles.types import rlp
from cybermiles.types.primitives import GWEI, WEI_PER_CMT, Hash32

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamSpec:
    """What a parameter may be."""

    unit: str
    """As documents write it behind the number."""
    minimum: int | Fraction
    """Least value; its type is the parameter's."""
    maximum: int | Fraction
    """Largest value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainParams:
    """The parameters in force at one height."""

    free_gas_limit: int = 500_000
    """Largest gas limit of a transaction in the free lane. Gas."""
    free_slots_per_block: int = 100
    """Transactions in the free lane of one block."""
    free_gas_per_block: int = 20_000_000
    """Sum of gas limits in the free lane of one block. Gas."""
    free_compute_units_per_block: int = 500_000
    """Compute units the free lane of one block may use."""
    free_compute_units_per_transaction: int = 100_000
    """Compute budget of a transaction in the free lane."""
    min_gas_price: int = 2 * GWEI
    """Least price of the paid lane. Wei per gas."""
    block_gas_limit: int = 200_000_000
    """Gas used by one block, at most."""
    compute_units_per_block: int = 1_200_000
    """Compute units of one block, at most: 0.66 s of the reference machine in a 1 s block."""
    compute_units_per_transaction: int = 800_000
    """Compute budget of a transaction in the paid lane."""
    max_block_bytes: int = 4 * 1024 * 1024
    """Sum of transaction sizes in one block. Bytes."""
    block_interval_ms: int = 1_000
    """Target time between blocks. Milliseconds. Under a second header times run ahead of the clock."""
    clock_precision_ms: int = 505
    """How far the clocks of two validators may differ. Milliseconds."""
    message_delay_ms: int = 15_000
    """How long a proposal may be under way in round 0. Milliseconds."""
    evidence_max_age_blocks: int = 100_000
    """Evidence older than this may be refused, if it is older than the next parameter too. Blocks."""
    evidence_max_age_seconds: int = 172_800
    """The second age that expired evidence exceeds; at most the unbonding period. Seconds between header times."""
    inflation_rate: Fraction = Fraction(8, 100)
    """Yearly growth of the supply in the first ten years, compounded yearly."""
    inflation_rate_after: Fraction = Fraction(0)
    """Yearly growth after the tenth anniversary of genesis."""
    max_supply: int = 10_000_000_000 * WEI_PER_CMT
    """Hard cap of the supply for ever. Wei."""
    system_gas_factor: Fraction = Fraction(1)
    """Scales the flat gas prices of the system contracts."""
    max_vals: int = 19
    """Validators that are elected."""
    backup_vals: int = 5
    """Backups that are elected behind them; they vote too."""
    power_unit: int = 1_000 * WEI_PER_CMT
    """Stake of one vote. Wei. Awards grow stake every block; votes change, and a new set is stored, per whole unit."""
    validator_size_threshold: Fraction = Fraction(12, 100)
    """Part of the elected stake over which a candidate's stake gives no votes."""
    self_staking_ratio: Fraction = Fraction(1, 10)
    """Part of its stake cap that a validator's owner stakes itself, at least."""
    min_staking_amount: int = 1_000 * WEI_PER_CMT
    """Least delegation. Wei."""
    unbonding_seconds: int = 604_800
    """How long stake that leaves is locked and liable; also how long moved stake stays where it went. Seconds."""
    validators_block_award_ratio: Fraction = Fraction(9, 10)
    """Part of a block's award that goes to validators; the rest goes to backups."""
    absence_window: int = 7_200
    """Blocks over which absences are counted."""
    max_absences: int = 1_200
    """Absences in the window that jail a validator: 20 minutes of 1 s blocks."""
    jail_seconds: int = 600
    """How long a jailed validator cannot come back. Seconds."""
    slash_absence: int = 1
    """Whether absence costs stake: 1 or 0."""
    absence_slash: Fraction = Fraction(1, 1_000)
    """Part of the stake that absence costs."""
    double_sign_slash: Fraction = Fraction(1, 20)
    """Part of the stake that signing twice costs."""
    gov_bond: int = 10_000 * WEI_PER_CMT
    """Deposit of a proposal, burnt when members reject or ignore it. Wei."""
    gov_notice_seconds: int = 86_400
    """Between a proposal and the first vote on it; freezing needs no notice. Seconds."""
    gov_voting_seconds: int = 259_200
    """Votes are taken for so long, or for up to twice as long where the proposer asks for it. Seconds."""
    gov_timelock_seconds: int = 172_800
    """Between the end of the vote and the first block that may execute what passed. Seconds."""
    gov_delay_blocks: int = 86_400
    """A parameter or an upgrade takes effect so many blocks after it was proposed, at the earliest. Blocks."""
    gov_freeze_seconds: int = 2_592_000
    """How long an account may be frozen, all its freezes together and for ever. Seconds."""
    gov_claim_seconds: int = 15_552_000
    """How long victims may claim recovered funds. Seconds."""
    gov_recovery_cap: Fraction = Fraction(1, 100)
    """Part of the supply that one recovery may move, at most."""
    gov_recovery_window_cap: Fraction = Fraction(2, 100)
    """Part of the supply that the recoveries of 30 days may move together, at most."""

    def __post_init__(self) -> None:
        for name, spec in PARAM_SPECS.items():
            value = getattr(self, name)
            if not spec.minimum <= value <= spec.maximum:
                raise ConfigError(
                    f"{name} is {value}, but must be between {spec.minimum} and {spec.maximum} {spec.unit}"
                )
            if value.denominator > MAX_DENOMINATOR:
                raise ConfigError(f"{name} is {value}, but its denominator may be {MAX_DENOMINATOR} at most")
        for smaller, larger in _ORDERED:
            if getattr(self, smaller) > getattr(self, larger):
                raise ConfigError(
                    f"{smaller} ({getattr(self, smaller)}) must not be over {larger} ({getattr(self, larger)})"
                )

    @property
    def max_value_bytes(self) -> int:
        """A block's wire bytes, at most.

        No transaction is under 64 bytes, so the length prefixes before them are less than a 32nd of them.
        """
        return self.max_block_bytes + self.max_block_bytes // 32 + BLOCK_OVERHEAD_BYTES

    @property
    def hash(self) -> Hash32:
        """keccak256 of the RLP of (name, decimal string) pairs in order of names."""
        values = self.to_strings()
        return Hash32(keccak256(rlp.encode([[name.encode(), values[name].encode()] for name in sorted(values)])))

    def to_strings(self) -> dict[str, str]:
        """Return every parameter as it stands in documents."""
        return {field.name: format_value(getattr(self, field.name)) for field in fields(self)}


BLOCK_OVERHEAD_BYTES = 260 * 1024
"""Header and consensus fields beside the transactions of a block: `types.block` allows 1 KiB and 256 KiB."""
MAX_DENOMINATOR = 10_000
"""Of a ratio in lowest terms: rates are steps of a hundredth of a percent, so that arithmetic on them stays small."""
_GAS_MAX = 2**40
_MAX_DIGITS = 30
PARAM_SPECS: dict[str, ParamSpec] = {
    "free_gas_limit": ParamSpec(unit="gas", minimum=21_000, maximum=2**24),
    "free_slots_per_block": ParamSpec(unit="transactions", minimum=0, maximum=10_000),
    "free_gas_per_block": ParamSpec(unit="gas", minimum=0, maximum=_GAS_MAX),
    "free_compute_units_per_block": ParamSpec(unit="CU", minimum=0, maximum=10_000_000),
    "free_compute_units_per_transaction": ParamSpec(unit="CU", minimum=1_000, maximum=10_000_000),
    "min_gas_price": ParamSpec(unit="wei per gas", minimum=1, maximum=10_000 * GWEI),
    "block_gas_limit": ParamSpec(unit="gas", minimum=2**24, maximum=_GAS_MAX),
    "compute_units_per_block": ParamSpec(unit="CU", minimum=100_000, maximum=30_000_000),
    "compute_units_per_transaction": ParamSpec(unit="CU", minimum=100_000, maximum=30_000_000),
    "max_block_bytes": ParamSpec(unit="bytes", minimum=256 * 1024, maximum=16 * 1024 * 1024),
    "block_interval_ms": ParamSpec(unit="ms", minimum=1, maximum=600_000),
    "clock_precision_ms": ParamSpec(unit="ms", minimum=1, maximum=86_400_000),
    "message_delay_ms": ParamSpec(unit="ms", minimum=1, maximum=86_400_000),
    "evidence_max_age_blocks": ParamSpec(unit="blocks", minimum=1, maximum=10_000_000),
    "evidence_max_age_seconds": ParamSpec(unit="s", minimum=1, maximum=604_800),
    "inflation_rate": ParamSpec(unit="per year", minimum=Fraction(0), maximum=Fraction(1, 5)),
    "inflation_rate_after": ParamSpec(unit="per year", minimum=Fraction(0), maximum=Fraction(1, 5)),
    "max_supply": ParamSpec(unit="wei", minimum=WEI_PER_CMT, maximum=10_000_000_000 * WEI_PER_CMT),
    "system_gas_factor": ParamSpec(unit="of the table's gas", minimum=Fraction(1, 4), maximum=Fraction(2)),
    "max_vals": ParamSpec(unit="validators", minimum=1, maximum=100),
    "backup_vals": ParamSpec(unit="backups", minimum=0, maximum=100),
    "power_unit": ParamSpec(unit="wei", minimum=WEI_PER_CMT, maximum=1_000_000 * WEI_PER_CMT),
    "validator_size_threshold": ParamSpec(unit="of elected stake", minimum=Fraction(1, 100), maximum=Fraction(1)),
    "self_staking_ratio": ParamSpec(unit="of the cap", minimum=Fraction(0), maximum=Fraction(1)),
    "min_staking_amount": ParamSpec(unit="wei", minimum=WEI_PER_CMT, maximum=1_000_000 * WEI_PER_CMT),
    "unbonding_seconds": ParamSpec(unit="s", minimum=1, maximum=31_536_000),
    "validators_block_award_ratio": ParamSpec(unit="of the award", minimum=Fraction(0), maximum=Fraction(1)),
    "absence_window": ParamSpec(unit="blocks", minimum=10, maximum=65_536),
    "max_absences": ParamSpec(unit="blocks", minimum=1, maximum=65_536),
    "jail_seconds": ParamSpec(unit="s", minimum=1, maximum=2_592_000),
    "slash_absence": ParamSpec(unit="(0 or 1)", minimum=0, maximum=1),
    "absence_slash": ParamSpec(unit="of the stake", minimum=Fraction(0), maximum=Fraction(1, 100)),
    "double_sign_slash": ParamSpec(unit="of the stake", minimum=Fraction(0), maximum=Fraction(1, 2)),
    "gov_bond": ParamSpec(unit="wei", minimum=WEI_PER_CMT, maximum=1_000_000 * WEI_PER_CMT),
    "gov_notice_seconds": ParamSpec(unit="s", minimum=0, maximum=604_800),
    "gov_voting_seconds": ParamSpec(unit="s", minimum=1, maximum=604_800),
    "gov_timelock_seconds": ParamSpec(unit="s", minimum=0, maximum=604_800),
    "gov_delay_blocks": ParamSpec(unit="blocks", minimum=1, maximum=10_000_000),
    "gov_freeze_seconds": ParamSpec(unit="s", minimum=0, maximum=2_592_000),
    "gov_claim_seconds": ParamSpec(unit="s", minimum=1, maximum=63_072_000),
    "gov_recovery_cap": ParamSpec(unit="of the supply", minimum=Fraction(0), maximum=Fraction(1, 100)),
    "gov_recovery_window_cap": ParamSpec(unit="of the supply", minimum=Fraction(0), maximum=Fraction(2, 100)),
}
"""Bounds of each parameter. A proposal outside them is refused when it is made."""

_ORDERED = (
    ("free_compute_units_per_transaction", "free_compute_units_per_block"),
    ("free_compute_units_per_transaction", "compute_units_per_transaction"),
    ("free_compute_units_per_block", "compute_units_per_block"),
    ("compute_units_per_transaction", "compute_units_per_block"),
    ("free_gas_limit", "free_gas_per_block"),
    ("max_absences", "absence_window"),
    ("evidence_max_age_seconds", "unbonding_seconds"),
    ("gov_recovery_cap", "gov_recovery_window_cap"),
)


def params_from_strings(values: Mapping[str, str]) -> ChainParams:
    """Return the parameters of a document; those it does not name have their defaults.

    Raises ConfigError for an unknown name, for a value that is not a number of the parameter's kind, and for one
    out of bounds.
    """
    parsed: dict[str, int | Fraction] = {}
    for name, text in values.items():
        if name not in PARAM_SPECS:
            raise ConfigError(f"there is no such parameter; {nearest(name, tuple(PARAM_SPECS))}")
        parsed[name] = parse_value(name, text)
    return ChainParams(**parsed)  # type: ignore[arg-type]  # the kind was decided by the table


def parse_value(name: str, text: str) -> int | Fraction:
    """Return a known parameter's value. Raises ConfigError for text that is not a number of its kind."""
    ratio = isinstance(PARAM_SPECS[name].minimum, Fraction)
    return _ratio(name, text) if ratio else _integer(name, text)


def format_value(value: int | Fraction) -> str:
    """Return a value as it stands in documents."""
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    return str(value)


def _integer(name: str, text: str) -> int:
    if not _is_integer(text):
        raise ConfigError(f'{name} is "{text[:_MAX_DIGITS]}", but must be a decimal integer such as "100"')
    return int(text)


def _ratio(name: str, text: str) -> Fraction:
    numerator, slash, denominator = text.partition("/")
    parts = (numerator, denominator if slash else "1")
    if not all(map(_is_integer, parts)) or parts[1] == "0":
        raise ConfigError(f'{name} is "{text[:_MAX_DIGITS]}", but must be a ratio such as "8/100"')
    return Fraction(int(parts[0]), int(parts[1]))


def _is_integer(text: str) -> bool:
    if not (text.isascii() and text.isdigit()) or len(text) > _MAX_DIGITS:
        return False
    return text == "0" or text[0] != "0"
