"""`cmt_query…` of validators, delegations, awards and absences: the original chain's names and shapes.

Every answer is `{"height": h, "data": …}` of the state after block h. Amounts are decimal text in wei, keys have
underscores, as they had. What the original could not know is beside it in the same style.
"""

from __future__ import annotations

from base64 import b64encode
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from cybermiles.chain.predeploys import STAKING
from cybermiles.rpc.block_references import Tag, parse_block_reference, state_height
from cybermiles.rpc.jsonrpc import SERVER_ERROR, RpcError
from cybermiles.rpc.methods import Method, Param
from cybermiles.rpc.quantities import encode_checksummed, parse_address, parse_count
from cybermiles.staking.layout import candidate_of, watch_of
from cybermiles.staking.signing import last_missed
from cybermiles.state.slots import ReadStorage
from cybermiles.system.interface import SLASHING_ABI, STAKING_ABI
from cybermiles.types.primitives import Address

if TYPE_CHECKING:
    from cybermiles.rpc.block_references import BlockReference
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import ChainReader
    from cybermiles.rpc.system_reader import SystemReader

    Answer = dict[str, Json]

MAX_ITEMS = 100
"""Items of one answer."""
LIST_WEIGHT = 20
ITEM_WEIGHT = 5
_KEY_TYPE = "tendermint/PubKeyEd25519"
_PPM = 1_000_000
_STATES = {"Validator": "Validator", "Backup": "Backup Validator"}
_UNRANKED = -1


def parse_height(value: Json) -> BlockReference:
    """Return a height as a number, where 0 is the newest, or any reference that other methods take.

    Raises ValueError.
    """
    if type(value) is int:
        return value if (value := parse_count(value)) else Tag.LATEST
    return parse_block_reference(value)


HEIGHT: Param[BlockReference] = Param(parse_height, default=Tag.LATEST)
OFFSET = Param(parse_count, default=0)


class CmtStaking:
    """The cmt namespace's reads of staking."""

    def __init__(self, chain: ChainReader, reader: SystemReader) -> None:
        self._chain = chain
        self._reader = reader

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        address = Param(parse_address)
        return (
            Method(name="cmt_queryValidators", handler=self.validators, params=(HEIGHT, OFFSET), weight=LIST_WEIGHT),
            Method(name="cmt_queryValidator", handler=self.validator, params=(address, HEIGHT), weight=ITEM_WEIGHT),
            Method(
                name="cmt_queryDelegator", handler=self.delegator, params=(address, HEIGHT, OFFSET), weight=LIST_WEIGHT
            ),
            Method(name="cmt_queryAwardInfos", handler=self.award_infos, params=(HEIGHT,), weight=LIST_WEIGHT),
            Method(name="cmt_queryAbsentValidators", handler=self.absent, params=(HEIGHT,), weight=LIST_WEIGHT),
        )

    async def validators(self, reference: BlockReference, offset: int) -> Json:
        """Return the active candidacies among `MAX_ITEMS` from an offset, by rank."""
        height = state_height(self._chain, reference)
        views = await self._list(height, "validators", offset)
        found = [await self._candidate(height, view) for view in views if view["active"]]
        found.sort(key=lambda candidate: (candidate["rank"] == _UNRANKED, candidate["rank"], candidate["id"]))
        return _answer(height, found)

    async def validator(self, owner: Address, reference: BlockReference) -> Json:
        """Return the candidacy of an account. Raises RpcError where it owns none."""
        height = state_height(self._chain, reference)
        if not self._candidate_id(height, owner):
            raise RpcError(SERVER_ERROR, "No data returned for query: the account owns no candidacy")
        return _answer(height, await self._candidate(height, await self._view(height, "validator", owner)))

    async def delegator(self, holder: Address, reference: BlockReference, offset: int) -> Json:
        """Return an account's delegations, `MAX_ITEMS` from an offset."""
        height = state_height(self._chain, reference)
        views = await self._list(height, "delegationsOf", offset, holder)
        return _answer(height, [await self._delegation(height, holder, view) for view in views])

    async def award_infos(self, reference: BlockReference) -> Json:
        """Return whom a block paid how much."""
        height = state_height(self._chain, reference)
        paid = await self._view(height, "awardsPaid", height)
        data: list[Json] = []
        for owner, amount in zip(paid["owners"], paid["amounts"], strict=True):
            view = await self._view(height, "validator", _address(owner))
            data.append({"address": owner, "state": _state(view), "amount": amount})
        return _answer(height, data)

    async def absent(self, reference: BlockReference) -> Json:
        """Return which elected candidates missed blocks of the window, by consensus key."""
        height = state_height(self._chain, reference)
        found: Answer = {}
        for view in await self._list(height, "validators", 0):
            if view["role"] not in _STATES:
                continue
            owner = _address(view["owner"])
            signing = await self._view(height, "signing", owner, interface=SLASHING_ABI)
            if signing["missedInWindow"]:
                found[_base64(view["consensusKey"])] = {
                    "Count": signing["missedInWindow"],
                    "LastBlockHeight": self._last_missed(height, owner),
                }
        return _answer(height, {"Validators": found})

    async def _view(self, height: int, function: str, *arguments: object, interface: str = STAKING_ABI) -> Any:  # noqa: ANN401  (shapes are the ABI's)
        return await self._reader.ask(height, interface, function, *arguments)

    async def _list(self, height: int, function: str, offset: int, *arguments: object) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self._view(height, function, *arguments, offset, MAX_ITEMS)
        return found

    async def _candidate(self, height: int, view: dict[str, Any]) -> dict[str, Any]:
        owner = _address(view["owner"])
        profile = await self._view(height, "profile", owner)
        return {
            "id": self._candidate_id(height, owner),
            "pub_key": _public_key(view),
            "owner_address": view["owner"],
            "shares": view["stake"],
            "self_stake": view["selfStake"],
            "voting_power": view["votingPower"],
            "tendermint_voting_power": view["votingPower"] if view["role"] in _STATES else 0,
            "max_shares": view["stakeCap"],
            "comp_rate": _rate(view["compRatePpm"]),
            "created_at": self._time_of(view["sinceBlock"]),
            "description": {
                "name": profile["name"],
                "website": profile["website"],
                "location": profile["location"],
                "email": profile["email"],
                "profile": profile["about"],
            },
            "verified": _yes(value=view["verified"]),
            "active": _yes(value=view["active"]),
            "block_height": view["sinceBlock"],
            "rank": view["rank"] - 1 if view["rank"] else _UNRANKED,
            "state": _state(view),
            "num_of_delegators": view["delegators"],
            "jailed_until": view["jailedUntil"],
            "tombstoned": _yes(value=view["tombstoned"]),
        }

    async def _delegation(self, height: int, holder: Address, view: dict[str, Any]) -> Json:
        owner = _address(view["validator"])
        validator = await self._view(height, "validator", owner)
        principal, awards = int(view["principal"]), int(view["awards"])
        slashed, leaving = int(view["slashed"]), int(view["leaving"])
        return {
            "delegator_address": encode_checksummed(holder),
            "pub_key": _public_key(validator),
            "validator_address": view["validator"],
            "candidate_id": self._candidate_id(height, owner),
            "delegate_amount": str(principal + leaving),
            "award_amount": str(awards),
            "withdraw_amount": "0",
            "pending_withdraw_amount": str(leaving),
            "slash_amount": str(slashed),
            "shares": str(principal + awards - slashed),
            "comp_rate": _rate(view["compRatePpm"]),
            "created_at": self._time_of(view["sinceBlock"]),
            "state": _yes(value=principal > 0),
            "block_height": view["sinceBlock"],
        }

    def _candidate_id(self, height: int, owner: Address) -> int:
        return candidate_of(ReadStorage(self._chain.state(height), STAKING), owner)

    def _last_missed(self, height: int, owner: Address) -> int:
        storage = ReadStorage(self._chain.state(height), STAKING)
        candidate = candidate_of(storage, owner)
        return last_missed(storage, candidate, watch_of(storage, candidate), height - 1)

    def _time_of(self, height: int) -> int:
        header = self._chain.header(height)
        return 0 if header is None else header.timestamp


def _answer(height: int, data: Json | list[dict[str, Any]]) -> Json:
    return {"height": height, "data": data}  # type: ignore[dict-item]  # objects of JSON values


def _address(text: str) -> Address:
    return Address(bytes.fromhex(text[2:]))


def _base64(text: str) -> str:
    return b64encode(bytes.fromhex(text[2:])).decode()


def _public_key(validator: dict[str, Any]) -> Json:
    return {"type": _KEY_TYPE, "value": _base64(validator["consensusKey"])}


def _state(view: dict[str, Any]) -> str:
    return _STATES.get(view["role"], "Candidate")


def _rate(ppm: int) -> str:
    rate = Fraction(ppm, _PPM)
    return f"{rate.numerator}/{rate.denominator}"


def _yes(*, value: bool) -> str:
    return "Y" if value else "N"
