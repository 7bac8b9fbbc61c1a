"""`/api` in Etherscan's shape, as far as contract verification needs it: what Hardhat and Foundry talk to.

    module=contract  action=verifysourcecode (POST)  checkverifystatus  getsourcecode  getabi  getcontractcreation

Parameters stand in the query or in the form; `apikey` is ignored, `chainid`, where there is one, must be ours. Answers
have HTTP status 200 and `status` "1" or "0", as the tools expect. `message` says how sure a match is where it is not
full; `MatchType` says it of a contract.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from cybermiles.errors import CybermilesError
from cybermiles.rpc.verification.comparison import Match
from cybermiles.rpc.verification.service import AlreadyVerified
from cybermiles.rpc.verification.submission import Refused, parse_address, parse_submission

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from cybermiles.rpc.verification.service import VerificationService
    from cybermiles.rpc.verification.store import Record
    from cybermiles.types.primitives import Address

PATHS = ("/api", "/api/")
READ_WEIGHT = 5
SUBMIT_WEIGHT = 20
"""Of the caller's budget, in the units of JSON-RPC methods."""
_FORM = "application/x-www-form-urlencoded"
_MAX_FIELDS = 100
_MAX_CREATIONS = 5
_UNVERIFIED = "Contract source code not verified"
_SURENESS = {
    Match.FULL: "OK",
    Match.PARTIAL: "OK: partial match, the code is equal but its metadata hash is not",
    Match.METADATA: "OK: metadata match only, nothing was compiled; whoever deployed the code claims these sources",
}


def weight_of(verb: str) -> int:
    """Return what a request costs of the caller's budget."""
    return SUBMIT_WEIGHT if verb == "POST" else READ_WEIGHT


class Answer(NamedTuple):
    """What every request is answered with."""

    status: str
    message: str
    result: Any


class VerificationApi:
    """Answers requests whose Host and rate were checked."""

    def __init__(self, service: VerificationService, chain_id: int, *, body_timeout_seconds: int) -> None:
        self.service = service
        self._chain_id = chain_id
        self._body_timeout_seconds = body_timeout_seconds
        self._actions: dict[str, Callable[[Mapping[str, str]], Awaitable[Answer]]] = {
            "verifysourcecode": self._submit,
            "checkverifystatus": self._check,
            "getsourcecode": self._source,
            "getabi": self._abi,
            "getcontractcreation": self._creation,
        }

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one GET or POST."""
        try:
            form = dict(request.query)
            if request.method == "POST":
                form |= await self._form(request)
            answer = await self._answer(form, is_post=request.method == "POST")
        except CybermilesError as error:
            answer = _refused(str(error))
        return web.Response(body=orjson.dumps(answer._asdict()), content_type="application/json")

    async def _form(self, request: web.Request) -> dict[str, str]:
        if request.headers.get("Content-Encoding", "identity") != "identity" or request.content_type != _FORM:
            raise Refused(f"a submission is {_FORM}, not compressed")
        largest = self.service.limits.body_max_bytes
        try:
            async with asyncio.timeout(self._body_timeout_seconds):
                body = await request.clone(client_max_size=largest).read()
        except web.HTTPRequestEntityTooLarge as error:
            raise Refused(f"the submission is over {largest} bytes (verify.body_max_bytes)") from error
        except TimeoutError as error:
            seconds = self._body_timeout_seconds
            raise Refused(f"the submission took over {seconds} s (rpc.body_timeout_seconds)") from error
        try:
            return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict"))
        except ValueError as error:
            raise Refused("the submission is no form of UTF-8 text") from error

    async def _answer(self, form: Mapping[str, str], *, is_post: bool) -> Answer:
        module, action = form.get("module", ""), form.get("action", "")
        found = self._actions.get(action) if module == "contract" else None
        if found is None:
            known = ", ".join(self._actions)
            raise Refused(
                f"module={module[:40]} action={action[:40]} is not served; of module=contract there are {known}"
            )
        chain_id = form.get("chainid", str(self._chain_id))
        if chain_id != str(self._chain_id):
            raise Refused(f"this node is of chain {self._chain_id}, not {chain_id[:20]}")
        if found == self._submit and not is_post:
            raise Refused("verifysourcecode is posted")
        return await found(form)

    async def _submit(self, form: Mapping[str, str]) -> Answer:
        try:
            return Answer("1", "OK", await self.service.submit(parse_submission(form)))
        except AlreadyVerified:
            # Etherscan's clients and Blockscout's know different sentences; the former name the chain.
            is_etherscan = "chainid" in form
            return _refused(
                "Contract source code already verified" if is_etherscan else "Smart-contract already verified."
            )

    async def _check(self, form: Mapping[str, str]) -> Answer:
        try:
            outcome = self.service.outcome(form.get("guid", ""))
        except KeyError as error:
            raise Refused("no submission has this guid; the node remembers a number of the newest") from error
        if outcome is None:
            return _refused("Pending in queue")
        if outcome.match is None:
            return _refused(f"Fail - Unable to verify: {outcome.reason}")
        return Answer("1", _SURENESS[outcome.match], "Pass - Verified")

    async def _source(self, form: Mapping[str, str]) -> Answer:
        address = parse_address(form, "address")
        record = await self.service.record(address)
        if record is None:
            return Answer("1", "OK", [_unverified()])
        return Answer("1", _SURENESS[record.match], [_described(record)])

    async def _abi(self, form: Mapping[str, str]) -> Answer:
        record = await self.service.record(parse_address(form, "address"))
        if record is None:
            return _refused(_UNVERIFIED)
        return Answer("1", _SURENESS[record.match], orjson.dumps(record.abi).decode())

    async def _creation(self, form: Mapping[str, str]) -> Answer:
        texts = form.get("contractaddresses", "").split(",")
        if len(texts) > _MAX_CREATIONS:
            raise Refused(f"contractaddresses are {_MAX_CREATIONS} at most")
        addresses = [parse_address({"contractaddresses": text.strip()}, "contractaddresses") for text in texts]
        found = [entry for address in addresses if (entry := await self._created(address)) is not None]
        return Answer("1", "OK", found) if found else Answer("0", "No data found", None)

    async def _created(self, address: Address) -> dict[str, str] | None:
        creation = await self.service.creation(address)
        if creation is None:
            return None
        return {
            "contractAddress": "0x" + address.hex(),
            "contractCreator": "0x" + creation.creator.hex(),
            "txHash": "0x" + creation.tx_hash.hex(),
            "blockNumber": str(creation.height),
            "contractFactory": "",
        }


def _refused(why: str) -> Answer:
    return Answer("0", "NOTOK", why)


def _unverified() -> dict[str, str]:
    names = ("SourceCode", "ContractName", "CompilerVersion", "OptimizationUsed", "Runs", "ConstructorArguments")
    more = ("EVMVersion", "Library", "LicenseType", "Implementation", "SwarmSource", "MatchType")
    return dict.fromkeys((*names, *more), "") | {"ABI": _UNVERIFIED, "Proxy": "0"}


def _described(record: Record) -> dict[str, str]:
    """Return a contract in Etherscan's words, all of them text."""
    settings = record.source["settings"]
    optimizer = settings.get("optimizer")
    optimizer = optimizer if isinstance(optimizer, dict) else {}
    return _unverified() | {
        "SourceCode": "{" + orjson.dumps(record.source).decode() + "}",
        "ABI": orjson.dumps(record.abi).decode(),
        "ContractName": record.name,
        "ContractFileName": record.path,
        "CompilerVersion": f"v{record.compiler}",
        "CompilerType": "solc",
        "OptimizationUsed": "1" if optimizer.get("enabled") else "0",
        "Runs": str(optimizer.get("runs", 200)),
        "ConstructorArguments": record.arguments,
        "EVMVersion": str(settings.get("evmVersion", "Default")),
        "MatchType": record.match.value,
        "ConstructorArgumentsChecked": "1" if record.is_creation_checked else "0",
    }
