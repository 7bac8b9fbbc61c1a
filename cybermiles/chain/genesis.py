"""The genesis document: what a chain starts from, as people write and read it.

A document is JSON whose numbers are decimal strings, so that no reader's number type can bend them. Reading it
checks every field and the sum of all coins; an error names the field's path and, for an unknown key, the nearest
valid one. Its hash is taken over a canonical encoding of the content and not over the text, and block 0 commits
to it.

    JSON text --parse_genesis--> GenesisDocument --accounts()--> state of block 0
              <--format_genesis-                 --hash--------> extra data of block 0

Whatever its source, a document that exists adds up: the checks across fields run when it is built.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from cybermiles.chain.development import check_development
from cybermiles.chain.issuance import IssuanceSchedule
from cybermiles.chain.params import PARAM_SPECS, ChainParams, format_value, params_from_strings
from cybermiles.chain.power import damped_powers
from cybermiles.chain.predeploys import DEV, STAKING, SYSTEM_STUB, VESTING, is_reserved, predeployed_code
from cybermiles.chain.reading import Field, parse_json
from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import ConfigError
from cybermiles.types import rlp
from cybermiles.types.primitives import ZERO_ADDRESS, Address, ChainId, Hash32, Timestamp, Wei
from cybermiles.types.rotation import MAX_VALIDATORS
from cybermiles.types.validator import MAX_TOTAL_POWER, Validator, ValidatorSet

if TYPE_CHECKING:
    from collections.abc import Iterable

_KEYS = (
    "name", "chain_id", "genesis_time", "allow_unprotected", "supply_cmt", "foundation",
    "parameters", "validators", "allocations", "vesting",
)  # fmt: skip

NOTHING = Wei(0)
"""Stake of a founder in a network without elections."""


@dataclass(frozen=True, slots=True)
class GenesisAccount:
    """An account of block 0."""

    nonce: int = 0
    balance: int = 0
    code: bytes = b""


@dataclass(frozen=True, slots=True)
class Allocation:
    """Coins that their holder may use at once."""

    label: str
    address: Address
    amount: Wei


@dataclass(frozen=True, slots=True)
class VestingGrant:
    """Coins locked in the vesting contract, released linearly from start to end."""

    label: str
    holder: Address
    amount: Wei
    start: Timestamp
    end: Timestamp


@dataclass(frozen=True, slots=True)
class GenesisValidator:
    """A founding validator.

    Stake comes out of its operator's allocation. Either every founder stakes, and the powers are what elections would
    make of it, or none does, and the founders decide for ever: a network for tests.
    """

    name: str
    validator: Validator
    stake: Wei = NOTHING
    stake_cap: Wei = NOTHING
    """Delegations may fill the stake up to this."""
    comp_rate: Fraction = Fraction(1, 5)
    """Part of its delegators' awards that it keeps."""


def founder(name: str, validator: Validator, stake: Wei, params: ChainParams) -> GenesisValidator:
    """Return a founder with the largest cap that its stake allows; `with_stake_powers` gives it its power."""
    ratio = params.self_staking_ratio
    cap = stake * ratio.denominator // ratio.numerator if ratio else params.max_supply
    return GenesisValidator(name, validator, stake, Wei(min(cap, params.max_supply)) if stake else NOTHING)


def with_stake_powers(founders: Iterable[GenesisValidator], params: ChainParams) -> tuple[GenesisValidator, ...]:
    """Return founders with the power that their stake gives them among each other."""
    listed = tuple(founders)
    stakes = [entry.stake for entry in listed]
    return tuple(
        replace(entry, validator=replace(entry.validator, power=power))
        for entry, power in zip(listed, damped_powers(stakes, params, sum(stakes)), strict=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GenesisDocument:
    """A checked document. `validators` may be empty in a template, which no node starts from.

    Raises ConfigError where coins do not add up to the supply, where they would go to an address nobody can
    spend from, and where the validators are no possible set.
    """

    name: str
    """For people."""
    chain_id: ChainId
    """EIP-155 chain id, also in consensus signatures."""
    timestamp: Timestamp
    """Time of block 0 and start of the issuance schedule."""
    allow_unprotected: bool
    """Whether legacy transactions without chain id are accepted."""
    supply: Wei
    """All coins of block 0."""
    params: ChainParams
    """In force from block 1."""
    validators: tuple[GenesisValidator, ...]
    """Who decides block 1."""
    allocations: tuple[Allocation, ...]
    """Free coins."""
    vesting: tuple[VestingGrant, ...]
    """Locked coins, held by the vesting contract."""
    foundation: Address = ZERO_ADDRESS
    """Who may mark validators as verified; the zero address: nobody."""
    dev: bool = False
    """Whether anybody may send as any account and change any account: a chain for development."""

    def __post_init__(self) -> None:
        _check_sum(self)
        _check_holders(self)
        _check_grants(self)
        _check_validators(self)
        _check_stakes(self)
        if self.dev:
            check_development(self.chain_id)

    @property
    def hash(self) -> Hash32:
        """keccak256 of the canonical RLP of the whole content."""
        return Hash32(keccak256(rlp.encode(self._to_item())))

    @property
    def validator_set(self) -> ValidatorSet:
        """Who decides block 1. Raises ConfigError for a template."""
        if not self.validators:
            raise ConfigError(
                "validators: the genesis document names no validator; add one with `cmt genesis new "
                "--validator KEY:OPERATOR` or start with `cmt init`"
            )
        return ValidatorSet(tuple(entry.validator for entry in self.validators))

    @property
    def issuance(self) -> IssuanceSchedule:
        """The schedule of the supply."""
        return IssuanceSchedule(
            genesis_time=self.timestamp,
            genesis_supply=self.supply,
            rate=self.params.inflation_rate,
            rate_after=self.params.inflation_rate_after,
            max_supply=self.params.max_supply,
        )

    def accounts(self) -> dict[Address, GenesisAccount]:
        """Return the accounts of block 0 in address order: predeploys, allocations, locked and staked coins."""
        balances: dict[Address, int] = {}
        for allocation in self.allocations:
            balances[allocation.address] = balances.get(allocation.address, 0) + allocation.amount
        for grant in self.vesting:
            balances[VESTING] = balances.get(VESTING, 0) + grant.amount
        for entry in self.validators:
            if entry.stake:
                balances[entry.validator.operator] -= entry.stake
                balances[STAKING] = balances.get(STAKING, 0) + entry.stake
        codes = predeployed_code()
        if self.dev:
            codes[DEV] = SYSTEM_STUB
        return {
            address: GenesisAccount(
                nonce=1 if address in codes else 0,
                balance=balances.get(address, 0),
                code=codes.get(address, b""),
            )
            for address in sorted(balances.keys() | codes.keys())
        }

    def with_validators(self, validators: Iterable[GenesisValidator]) -> GenesisDocument:
        """Return the document with other founding validators."""
        return replace(self, validators=tuple(validators))

    def with_timestamp(self, timestamp: int) -> GenesisDocument:
        """Return the document of a chain that starts at another time; vesting moves along with it."""
        shift = timestamp - self.timestamp
        return replace(
            self,
            timestamp=Timestamp(timestamp),
            vesting=tuple(
                replace(grant, start=Timestamp(grant.start + shift), end=Timestamp(grant.end + shift))
                for grant in self.vesting
            ),
        )

    def _to_item(self) -> list[Any]:
        return [
            self.name.encode(),
            rlp.int_to_bytes(self.chain_id),
            rlp.int_to_bytes(self.timestamp),
            rlp.int_to_bytes(self.allow_unprotected),
            rlp.int_to_bytes(self.supply),
            self.foundation,
            self.params.hash,
            [
                [
                    entry.name.encode(),
                    entry.validator.consensus_key,
                    entry.validator.operator,
                    rlp.int_to_bytes(entry.validator.power),
                    rlp.int_to_bytes(entry.stake),
                    rlp.int_to_bytes(entry.stake_cap),
                    format_value(entry.comp_rate).encode(),
                ]
                for entry in self.validators
            ],
            [[a.label.encode(), a.address, rlp.int_to_bytes(a.amount)] for a in self.allocations],
            [
                [
                    grant.label.encode(),
                    grant.holder,
                    rlp.int_to_bytes(grant.amount),
                    rlp.int_to_bytes(grant.start),
                    rlp.int_to_bytes(grant.end),
                ]
                for grant in self.vesting
            ],
            *([b"dev"] if self.dev else []),
        ]


def parse_genesis(source: str | bytes) -> GenesisDocument:
    """Return the document in a JSON text. Raises ConfigError with the path of the first wrong field."""
    root = Field(parse_json(source), "genesis")
    fields = root.object(_KEYS, ("dev",))
    return GenesisDocument(
        name=fields["name"].text(maximum=64),
        chain_id=ChainId(fields["chain_id"].integer(minimum=1, maximum=2**53 - 1)),
        timestamp=Timestamp(fields["genesis_time"].time()),
        allow_unprotected=fields["allow_unprotected"].boolean(),
        supply=Wei(fields["supply_cmt"].cmt()),
        foundation=fields["foundation"].address(),
        params=_parameters(fields["parameters"]),
        validators=tuple(_validator(entry) for entry in fields["validators"].items()),
        allocations=tuple(_allocation(entry) for entry in fields["allocations"].items()),
        vesting=tuple(_grant(entry) for entry in fields["vesting"].items()),
        dev="dev" in fields and fields["dev"].boolean(),
    )


def _parameters(field: Field) -> ChainParams:
    fields = field.object(tuple(PARAM_SPECS))
    values = {name: entry.with_unit(PARAM_SPECS[name].unit) for name, entry in fields.items()}
    try:
        return params_from_strings(values)
    except ConfigError as error:
        raise ConfigError(f"{field.path}: {error}") from error


def _validator(field: Field) -> GenesisValidator:
    fields = field.object(("name", "consensus_key", "operator", "power", "stake_cmt", "stake_cap_cmt", "comp_rate"))
    return GenesisValidator(
        fields["name"].text(maximum=64),
        Validator(
            fields["consensus_key"].hex(size=32),
            fields["operator"].address(),
            fields["power"].integer(minimum=1, maximum=MAX_TOTAL_POWER),
        ),
        Wei(fields["stake_cmt"].cmt()),
        Wei(fields["stake_cap_cmt"].cmt()),
        fields["comp_rate"].ratio(),
    )


def _allocation(field: Field) -> Allocation:
    fields = field.object(("label", "address", "amount_cmt"))
    return Allocation(fields["label"].text(maximum=64), fields["address"].address(), Wei(fields["amount_cmt"].cmt()))


def _grant(field: Field) -> VestingGrant:
    fields = field.object(("label", "holder", "amount_cmt", "start", "end"))
    return VestingGrant(
        fields["label"].text(maximum=64),
        fields["holder"].address(),
        Wei(fields["amount_cmt"].cmt()),
        Timestamp(fields["start"].time()),
        Timestamp(fields["end"].time()),
    )


def _check_sum(document: GenesisDocument) -> None:
    total = sum(a.amount for a in document.allocations) + sum(g.amount for g in document.vesting)
    if total != document.supply:
        raise ConfigError(
            f"genesis.supply_cmt: allocations and vesting sum to {total} wei, but the supply is "
            f"{document.supply} wei: {abs(total - document.supply)} wei too "
            f"{'many' if total > document.supply else 'few'}"
        )
    if document.supply > document.params.max_supply:
        raise ConfigError("genesis.supply_cmt: the supply is over the parameter max_supply")


def _check_holders(document: GenesisDocument) -> None:
    paths = [(f"genesis.allocations[{i}].address", a.address) for i, a in enumerate(document.allocations)]
    paths += [(f"genesis.vesting[{i}].holder", grant.holder) for i, grant in enumerate(document.vesting)]
    for path, holder in paths:
        if is_reserved(holder):
            raise ConfigError(
                f"{path}: 0x{holder.hex()} is a precompiled or predeployed contract; coins there could never be spent"
            )


def _check_grants(document: GenesisDocument) -> None:
    holders: dict[Address, int] = {}
    for index, grant in enumerate(document.vesting):
        if grant.end <= grant.start:
            raise ConfigError(f"genesis.vesting[{index}].end: the end must be after the start")
        if holders.setdefault(grant.holder, index) != index:
            raise ConfigError(f"genesis.vesting[{index}].holder: this account has a grant already; sum them up")


def _check_validators(document: GenesisDocument) -> None:
    if len(document.validators) > MAX_VALIDATORS:
        raise ConfigError(
            f"genesis.validators: {len(document.validators)} are named, but a set has {MAX_VALIDATORS} at most"
        )
    seen: dict[bytes, int] = {}
    power = 0
    for index, entry in enumerate(document.validators):
        first = seen.setdefault(entry.validator.consensus_key, index)
        if first != index:
            raise ConfigError(
                f"genesis.validators[{index}].consensus_key: genesis.validators[{first}] has this key already"
            )
        power += entry.validator.power
    if power > MAX_TOTAL_POWER:
        raise ConfigError(f"genesis.validators: the powers sum to {power}, but may sum to {MAX_TOTAL_POWER} at most")


def _check_stakes(document: GenesisDocument) -> None:
    """Check that either all founders stake or none, that they have the coins, and that powers follow from stake."""
    founders, params = document.validators, document.params
    if not any(entry.stake for entry in founders):
        return
    free: dict[Address, int] = {}
    for allocation in document.allocations:
        free[allocation.address] = free.get(allocation.address, 0) + allocation.amount
    owners: dict[Address, int] = {}
    for index, entry in enumerate(founders):
        _check_founder(f"genesis.validators[{index}]", entry, params)
        operator = entry.validator.operator
        if owners.setdefault(operator, index) != index:
            raise ConfigError(f"genesis.validators[{index}].operator: an account has one candidacy only")
        if free.get(operator, 0) < entry.stake:
            raise ConfigError(
                f"genesis.validators[{index}].stake_cmt: the operator's allocations are {free.get(operator, 0)} wei, "
                f"but it stakes {entry.stake} wei"
            )
    expected = with_stake_powers(founders, params)
    for index, (entry, right) in enumerate(zip(founders, expected, strict=True)):
        if entry.validator.power != right.validator.power:
            raise ConfigError(
                f"genesis.validators[{index}].power: {entry.validator.power} must be {right.validator.power}, the "
                "votes that the founders' stakes give it"
            )


def _check_founder(path: str, entry: GenesisValidator, params: ChainParams) -> None:
    least = max(params.power_unit, params.min_staking_amount)
    if entry.stake < least:
        raise ConfigError(f"{path}.stake_cmt: {entry.stake} wei, but a founder that stakes has {least} wei at least")
    if not entry.stake <= entry.stake_cap <= params.max_supply:
        raise ConfigError(f"{path}.stake_cap_cmt: {entry.stake_cap} wei must be from the stake to max_supply")
    if entry.stake < entry.stake_cap * params.self_staking_ratio:
        raise ConfigError(
            f"{path}.stake_cap_cmt: the stake must be {params.self_staking_ratio} of the cap at least, so a cap of "
            f"{entry.stake_cap} wei is too much"
        )
    if not Fraction(1, 1_000_000) <= entry.comp_rate < 1:
        raise ConfigError(f'{path}.comp_rate: {entry.comp_rate} must be over 0 and under 1, such as "1/5"')
