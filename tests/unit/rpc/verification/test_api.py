"""`/api` as Hardhat and Foundry ask it: Etherscan's shape over real sockets."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp
import orjson
import pytest

from cybermiles.rpc.config import RpcConfig
from cybermiles.rpc.verification.api import VerificationApi
from tests.fakes.rpc import FakeNode
from tests.unit.rpc.serving import served
from tests.unit.rpc.verification.samples import ADDRESS, ARGUMENTS, DOCUMENT, form, metadata, source_with

TEXT = "0x" + ADDRESS.hex()


@pytest.fixture
def api(build):
    """Return a function that serves a node's `/api`; asking it gives (HTTP status, document)."""

    @asynccontextmanager
    async def serve(service=None):
        node = FakeNode(RpcConfig(port=0))
        service = service or build()
        node.server.serve_verification(VerificationApi(service, 181_818, body_timeout_seconds=10))
        async with node.serving() as server, aiohttp.ClientSession(server.url) as http:

            async def ask(data=None, *, path="/api", headers=None, **query):
                verb = "GET" if data is None else "POST"
                async with http.request(verb, path, params=query, data=data, headers=headers) as response:
                    return response.status, orjson.loads(await response.read())

            task = asyncio.create_task(service.run())
            yield ask
            task.cancel()
            await asyncio.wait([task])

    return serve


async def poll(ask, guid):
    while (answer := (await ask(module="contract", action="checkverifystatus", guid=guid))[1])[
        "result"
    ] == "Pending in queue":
        await asyncio.sleep(0.005)
    return answer


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("extra", "known"),
    [({"chainid": "181818"}, "Contract source code already verified"), ({}, "Smart-contract already verified.")],
)
async def test_the_exchange_that_the_tools_have(api, extra, known):
    about = {"module": "contract", "address": TEXT} | extra
    async with api() as ask:
        status, answer = await ask(**about, action="getsourcecode", apikey="none")
        assert (status, answer["status"], answer["result"][0]["SourceCode"]) == (200, "1", "")
        assert answer["result"][0]["ABI"] == "Contract source code not verified"
        assert (await ask(**about, action="getabi"))[1]["status"] == "0"
        body = {name: value for name, value in form().items() if name not in ("module", "action")}
        _, answer = await ask(body, path="/api/", module="contract", action="verifysourcecode", **extra)
        assert (answer["status"], answer["message"]) == ("1", "OK")
        assert await poll(ask, answer["result"]) == {"status": "1", "message": "OK", "result": "Pass - Verified"}
        _, answer = await ask(**about, action="getsourcecode")
        [found] = answer["result"]
        assert found["ContractName"] == "Vault"
        assert found["CompilerVersion"] == "v0.8.30+commit.73712a01"
        assert (found["OptimizationUsed"], found["Runs"], found["EVMVersion"]) == ("1", "200", "prague")
        assert (found["MatchType"], found["ConstructorArguments"]) == ("full", ARGUMENTS.hex())
        assert json.loads(found["SourceCode"][1:-1])["sources"] == DOCUMENT["input"]["sources"]
        assert json.loads((await ask(**about, action="getabi"))[1]["result"]) == DOCUMENT["contracts"]["Vault"]["abi"]
        assert (await ask(form() | extra))[1] == {"status": "0", "message": "NOTOK", "result": known}
        _, answer = await ask(module="contract", action="getcontractcreation", contractaddresses=TEXT)
        assert answer["result"][0]["txHash"] == "0x" + "77" * 32


@pytest.mark.asyncio
async def test_a_weak_match_is_never_shown_as_a_full_one(api, build):
    async with api(build(compiles=False)) as ask:
        _, answer = await ask(form(metadata=metadata()))
        answer = await poll(ask, answer["result"])
        assert answer["result"] == "Pass - Verified"
        assert "metadata match only" in answer["message"]
        _, answer = await ask(module="contract", action="getsourcecode", address=TEXT)
        assert "metadata match only" in answer["message"]
        assert answer["result"][0]["MatchType"] == "metadata"


@pytest.mark.asyncio
async def test_a_failure_says_why(api):
    async with api() as ask:
        _, answer = await ask(form(sourceCode=source_with("broken")))
        answer = await poll(ask, answer["result"])
        assert answer["status"] == "0"
        assert answer["result"].startswith("Fail - Unable to verify: solc refuses")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("data", "query", "message"),
    [
        (None, {}, "module="),
        (None, {"module": "account", "action": "getabi"}, "module=account"),
        (None, {"module": "contract", "action": "getabi", "address": "0x12"}, "address"),
        (None, {"module": "contract", "action": "getabi", "address": TEXT, "chainid": "1"}, "chain 181818, not 1"),
        (None, {"module": "contract", "action": "checkverifystatus", "guid": "12"}, "guid"),
        (None, form(sourceCode=None), "posted"),
        (None, {"module": "contract", "action": "getcontractcreation", "contractaddresses": ",".join([TEXT] * 6)}, "5"),
        (form(contractaddress="0x" + "12" * 20), {}, "Unable to locate ContractCode at 0x1212"),
        (b"\xff=\xfe", {}, "form of UTF-8"),
        ({f"a{number}": "" for number in range(200)}, {}, "form of UTF-8"),
    ],
)
async def test_requests_that_are_refused(api, data, query, message):
    async with api() as ask:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if isinstance(data, bytes) else None
        status, answer = await ask(data, headers=headers, **query)
        assert (status, answer["status"], answer["message"]) == (200, "0", "NOTOK")
        assert message in answer["result"]


@pytest.mark.asyncio
async def test_a_submission_has_a_bounded_size(api, build):
    async with api(build(body_max_bytes=1_000)) as ask:
        _, answer = await ask(form())
        assert answer["result"] == "the submission is over 1000 bytes (verify.body_max_bytes)"


@pytest.mark.asyncio
async def test_strangers_pages_and_other_bodies_are_refused(api):
    async with api() as ask:
        status, _ = await ask(form(), headers={"Host": "evil.example"})
        assert status == 403
        _, answer = await ask(b"{}", headers={"Content-Type": "application/json"})
        assert "x-www-form-urlencoded" in answer["result"]
        _, answer = await ask(
            b"a=b", headers={"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"}
        )
        assert "not compressed" in answer["result"]


@pytest.mark.asyncio
async def test_without_a_service_there_is_no_api():
    async with served() as node, node.http.get("/api") as response:
        assert response.status == 404
