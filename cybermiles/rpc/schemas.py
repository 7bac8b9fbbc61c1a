"""Objects in requests: calls, filters, overrides. Strangers' data, checked here and nowhere later.

Each model is turned into a domain value by its own method, so that no pydantic object travels further.
Fields a model does not name are ignored, as every client does it; wrong ones are named in the error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from cybermiles.execution.simulate import AccountOverride, BlockOverride
from cybermiles.execution.validation import LAST_TIMESTAMP
from cybermiles.rpc.block_references import BlockNumber, Tag, parse_block_number
from cybermiles.rpc.logs import LogQuery
from cybermiles.rpc.quantities import (
    parse_address,
    parse_data,
    parse_hash,
    parse_quantity,
    parse_slot,
    parse_uint64,
)
from cybermiles.types.primitives import ZERO_ADDRESS, Address, Hash32
from cybermiles.types.transaction import Authorization
from cybermiles.vm.backend import CallMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import StateOverrides
    from cybermiles.types.transaction import AccessList

MAX_TOPICS = 4
"""LOG4 is the EVM's largest."""


def parse_slot_field(value: Any) -> int:  # noqa: ANN401  (pydantic hands over whatever JSON held)
    """Return a storage key or value as a number."""
    return parse_slot(value)[0]


def parse_number_field(value: Any) -> BlockNumber | None:  # noqa: ANN401
    """Return a tag or height, None for null."""
    return None if value is None else parse_block_number(value)


def many_addresses(value: Any) -> Any:  # noqa: ANN401
    """Return a list of addresses for one or many."""
    return value if isinstance(value, list) or value is None else [value]


def alternatives(value: Any) -> Any:  # noqa: ANN401
    """Return a list of alternatives for each topic position."""
    if not isinstance(value, list):
        return value
    return [[] if entry is None else entry if isinstance(entry, list) else [entry] for entry in value]


LAST_HEIGHT = 2**48
"""Of block overrides: far beyond any chain, and a number that every rule can count on from."""
Quantity: TypeAlias = Annotated[int, BeforeValidator(parse_quantity)]
Uint64: TypeAlias = Annotated[int, BeforeValidator(parse_uint64)]
Data: TypeAlias = Annotated[bytes, BeforeValidator(parse_data)]
AddressData: TypeAlias = Annotated[bytes, BeforeValidator(parse_address)]
HashData: TypeAlias = Annotated[bytes, BeforeValidator(parse_hash)]
Slot: TypeAlias = Annotated[int, BeforeValidator(parse_slot_field)]
Number: TypeAlias = Annotated[Any, BeforeValidator(parse_number_field)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class AccessListEntry(_Model):
    """One account of an EIP-2930 access list."""

    address: AddressData
    storage_keys: list[Slot] = Field(alias="storageKeys", default_factory=list)


class AuthorizationEntry(_Model):
    """One EIP-7702 authorization."""

    chain_id: Quantity = Field(alias="chainId")
    address: AddressData
    nonce: Uint64
    y_parity: Uint64 = Field(alias="yParity")
    r: Quantity
    s: Quantity

    def to_authorization(self) -> Authorization:
        """Return the domain value."""
        return Authorization(self.chain_id, Address(self.address), self.nonce, self.y_parity, self.r, self.s)


class CallObject(_Model):
    """A transaction as `eth_call` and its relatives take it: everything is optional."""

    sender: AddressData | None = Field(alias="from", default=None)
    to: AddressData | None = None
    gas: Uint64 | None = None
    gas_price: Quantity | None = Field(alias="gasPrice", default=None)
    max_fee_per_gas: Quantity | None = Field(alias="maxFeePerGas", default=None)
    max_priority_fee_per_gas: Quantity | None = Field(alias="maxPriorityFeePerGas", default=None)
    value: Quantity | None = None
    input: Data | None = None
    data: Data | None = None
    nonce: Uint64 | None = None
    chain_id: Quantity | None = Field(alias="chainId", default=None)
    type: Uint64 | None = None
    access_list: list[AccessListEntry] | None = Field(alias="accessList", default=None)
    authorization_list: list[AuthorizationEntry] | None = Field(alias="authorizationList", default=None)
    max_fee_per_blob_gas: Quantity | None = Field(alias="maxFeePerBlobGas", default=None)
    blob_versioned_hashes: list[HashData] | None = Field(alias="blobVersionedHashes", default=None)

    @model_validator(mode="after")
    def _consistent(self) -> CallObject:
        if self.input is not None and self.data is not None and self.input != self.data:
            raise ValueError(
                'both "data" and "input" are set and not equal. Please use "input" to pass transaction call data'
            )
        dynamic = self.max_fee_per_gas is not None or self.max_priority_fee_per_gas is not None
        if self.gas_price is not None and dynamic:
            raise ValueError("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified")
        cap, tip = self.max_fee_per_gas, self.max_priority_fee_per_gas
        if cap is not None and tip is not None and tip > cap:
            raise ValueError(f"maxFeePerGas ({cap}) < maxPriorityFeePerGas ({tip})")
        if self.max_fee_per_blob_gas is not None or self.blob_versioned_hashes is not None:
            raise ValueError("blob transactions are not supported on this chain")
        return self

    @property
    def calldata(self) -> bytes:
        """The input under either of its two names."""
        return self.input or self.data or b""

    @property
    def domain_access_list(self) -> AccessList:
        """The access list as the VM takes it."""
        return tuple((Address(entry.address), tuple(entry.storage_keys)) for entry in self.access_list or ())

    def effective_price(self, base_fee: int = 0) -> int:
        """Return wei per gas at a base fee, 0 where none is named."""
        if self.gas_price is not None:
            return self.gas_price
        cap, tip = self.max_fee_per_gas, self.max_priority_fee_per_gas
        if not cap and not tip:
            return 0
        offered = base_fee + (tip or 0)
        return offered if cap is None else min(cap, offered)

    def to_message(self, gas_limit: int, base_fee: int = 0) -> CallMessage:
        """Return the call at a base fee, with at most `gas_limit` gas."""
        return CallMessage(
            sender=ZERO_ADDRESS if self.sender is None else Address(self.sender),
            to=None if self.to is None else Address(self.to),
            gas=gas_limit if self.gas is None else min(self.gas, gas_limit),
            gas_price=self.effective_price(base_fee),
            value=self.value or 0,
            data=self.calldata,
            access_list=self.domain_access_list,
        )


class AccountOverrideObject(_Model):
    """Part of one account, replaced for a call."""

    balance: Quantity | None = None
    nonce: Uint64 | None = None
    code: Data | None = None
    state: dict[str, Slot] | None = None
    state_diff: dict[str, Slot] | None = Field(alias="stateDiff", default=None)
    move_precompile: Any = Field(alias="movePrecompileToAddress", default=None)

    @model_validator(mode="after")
    def _consistent(self) -> AccountOverrideObject:
        if self.state is not None and self.state_diff is not None:
            raise ValueError("an account has both 'state' and 'stateDiff'")
        if self.move_precompile is not None:
            raise ValueError("movePrecompileToAddress is not supported")
        return self

    @property
    def size(self) -> int:
        """Bytes of code and storage."""
        slots = len(self.state or ()) + len(self.state_diff or ())
        return len(self.code or b"") + 64 * slots

    def to_override(self) -> AccountOverride:
        """Return the domain value."""
        return AccountOverride(
            balance=self.balance,
            nonce=self.nonce,
            code=self.code,
            state=None if self.state is None else _slots(self.state),
            state_diff=_slots(self.state_diff or {}),
        )


class BlockOverrideObject(_Model):
    """What the block opcodes answer during a call."""

    number: Uint64 | None = None
    time: Uint64 | None = None
    timestamp: Uint64 | None = None
    gas_limit: Uint64 | None = Field(alias="gasLimit", default=None)
    fee_recipient: AddressData | None = Field(alias="feeRecipient", default=None)
    coinbase: AddressData | None = None
    prev_randao: HashData | None = Field(alias="prevRandao", default=None)
    random: HashData | None = None
    base_fee: Quantity = Field(alias="baseFeePerGas", default=0)
    blob_base_fee: Quantity = Field(alias="blobBaseFee", default=1)

    @model_validator(mode="after")
    def _possible(self) -> BlockOverrideObject:
        if self.base_fee != 0:
            raise ValueError("baseFeePerGas is always 0 on this chain")
        if self.number is not None and self.number > LAST_HEIGHT:
            raise ValueError(f"number {self.number} is after the last block there can be, {LAST_HEIGHT}")
        for time in (self.time, self.timestamp):
            if time is not None and time > LAST_TIMESTAMP:
                raise ValueError(f"time {time} is after the last one a block can have, {LAST_TIMESTAMP}")
        return self

    def to_override(self) -> BlockOverride:
        """Return the domain value."""
        coinbase = self.fee_recipient if self.coinbase is None else self.coinbase
        randao = self.prev_randao if self.random is None else self.random
        return BlockOverride(
            height=self.number,
            timestamp=self.timestamp if self.time is None else self.time,
            coinbase=None if coinbase is None else Address(coinbase),
            gas_limit=self.gas_limit,
            prev_randao=None if randao is None else Hash32(randao),
        )


class FilterObject(_Model):
    """Which logs `eth_getLogs` and log subscriptions want."""

    from_block: Number = Field(alias="fromBlock", default=None)
    to_block: Number = Field(alias="toBlock", default=None)
    block_hash: HashData | None = Field(alias="blockHash", default=None)
    address: Annotated[list[AddressData] | None, BeforeValidator(many_addresses)] = None
    topics: Annotated[list[list[HashData]] | None, BeforeValidator(alternatives)] = None

    def to_query(self, limits: RpcLimits) -> LogQuery:
        """Return the domain value. Raises ValueError where it is over a limit."""
        addresses = self.address or []
        topics = self.topics or []
        ranged = self.from_block is not None or self.to_block is not None
        if self.block_hash is not None and ranged:
            raise ValueError("cannot specify both blockHash and fromBlock/toBlock, choose one")
        _at_most(len(addresses), limits.logs_max_addresses, "addresses", "rpc.logs_max_addresses")
        _at_most(len(topics), MAX_TOPICS, "topics", "a log has no more")
        alternatives = max(map(len, topics), default=0)
        _at_most(
            alternatives,
            limits.logs_max_topic_alternatives,
            "alternatives of one topic",
            "rpc.logs_max_topic_alternatives",
        )
        return LogQuery(
            first=Tag.LATEST if self.from_block is None else self.from_block,
            last=Tag.LATEST if self.to_block is None else self.to_block,
            block_hash=None if self.block_hash is None else Hash32(self.block_hash),
            addresses=tuple(Address(address) for address in addresses),
            topics=tuple(tuple(Hash32(topic) for topic in position) for position in topics),
        )


M = TypeVar("M", bound=_Model)


def parse_call(value: Json) -> CallObject:
    """Return a call object. Raises ValueError that names the wrong field."""
    return _parse(CallObject, value)


def parse_block_override(value: Json) -> BlockOverride:
    """Return block overrides. Raises ValueError that names the wrong field."""
    return _parse(BlockOverrideObject, value).to_override()


def filter_parser(limits: RpcLimits) -> Callable[[Json], LogQuery]:
    """Return a parser of log filters within `limits`."""
    return lambda value: _parse(FilterObject, value).to_query(limits)


def overrides_parser(limits: RpcLimits) -> Callable[[Json], StateOverrides]:
    """Return a parser of state overrides within `limits`."""

    def parse(value: Json) -> StateOverrides:
        if not isinstance(value, dict):
            raise ValueError("an object of accounts is expected")  # noqa: TRY004
        _at_most(len(value), limits.overrides_max_accounts, "accounts", "rpc.overrides_max_accounts")
        overrides: StateOverrides = {}
        size = 0
        for address, entry in value.items():
            override = _parse(AccountOverrideObject, entry)
            size += override.size
            _at_most(size, limits.overrides_max_bytes, "bytes", "rpc.overrides_max_bytes")
            overrides[parse_address(address)] = override.to_override()
        return overrides

    return parse


def _parse(model: type[M], value: Json) -> M:
    if not isinstance(value, dict):
        raise ValueError("an object is expected")  # noqa: TRY004
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:80]
        what = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{where}: {what}" if where else what) from None


def _slots(entries: dict[str, int]) -> dict[int, int]:
    return {parse_slot(key)[0]: value for key, value in entries.items()}


def _at_most(count: int, limit: int, what: str, why: str) -> None:
    if count > limit:
        raise ValueError(f"{count} {what}, at most {limit} are allowed ({why})")
