"""Submissions on their way: found, compiled in a bounded process, stored."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace

import pytest

from cybermiles.errors import CybermilesError
from cybermiles.rpc.verification.comparison import Match, OnChain
from cybermiles.rpc.verification.compiler import Solc
from cybermiles.rpc.verification.config import VerifyConfig
from cybermiles.rpc.verification.creation import find_creation
from cybermiles.rpc.verification.service import judge
from cybermiles.rpc.verification.store import StoreFull, VerifiedStore
from cybermiles.rpc.verification.submission import Refused, parse_submission
from tests.unit.rpc.verification.samples import (
    ADDRESS,
    ARGUMENTS,
    DOCUMENT,
    VaultChain,
    compiled,
    deployed,
    form,
    metadata,
    solc_command,
    source_with,
    with_other_trailer,
)

TEXT = "0x" + ADDRESS.hex()


async def outcomes_of(service, *forms):
    numbers = [await service.submit(parse_submission(each)) for each in forms]
    task = asyncio.create_task(service.run())
    while any(service.outcome(number) is None for number in numbers):
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait([task])
    return [service.outcome(number) for number in numbers]


async def outcome_of(service, **changes):
    return (await outcomes_of(service, form(**changes)))[0]


@pytest.mark.asyncio
async def test_compiled_sources_are_stored_with_their_match(build, tmp_path):
    service = build()
    assert await outcome_of(service) == (Match.FULL, "")
    record = await service.record(ADDRESS)
    assert (record.match, record.path, record.name, record.is_creation_checked) == (
        Match.FULL,
        "Vault.sol",
        "Vault",
        True,
    )
    assert record.arguments == ARGUMENTS.hex()
    assert record.source["sources"] == DOCUMENT["input"]["sources"]
    assert [path.name for path in (tmp_path / "verified").iterdir()] == [f"{TEXT}.json"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("chain", "changes", "match", "reason"),
    [
        (VaultChain(with_other_trailer(deployed()), pruned_below=45), {}, Match.PARTIAL, ""),
        (VaultChain(b"\x00" + deployed()[1:]), {}, None, "from byte 0 on"),
        (VaultChain(), {"constructorArguements": ""}, None, "constructor arguments"),
        (VaultChain(is_direct=False), {"constructorArguements": ""}, Match.FULL, ""),
        (VaultChain(), {"sourceCode": source_with("broken")}, None, "ParserError: broken"),
        (VaultChain(), {"compilerversion": "v0.8.29+commit.ab55807c"}, None, "verify.solc"),
        (VaultChain(), {"compilerversion": "0.8.30"}, Match.FULL, ""),
    ],
)
async def test_outcomes(build, chain, changes, match, reason):
    outcome = await outcome_of(build(chain), **changes)
    assert outcome.match == match
    assert reason in outcome.reason


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("text", "limits", "reason"),
    [
        ("endless", {"compile_timeout_seconds": 1}, "gave no answer|compile_timeout_seconds"),
        ("greedy", {"compile_memory_mb": 200}, "MemoryError"),
        ("verbose", {"compile_output_max_bytes": 1 << 20}, "gave no answer"),
    ],
)
async def test_a_compiler_that_misbehaves_costs_one_verification(build, text, limits, reason):
    service = build(**limits)
    outcome, after = await outcomes_of(service, form(sourceCode=source_with(text)), form())
    assert outcome.match is None
    assert re.search(reason, outcome.reason)
    assert after.match is Match.FULL


@pytest.mark.asyncio
async def test_a_node_that_stops_does_not_wait_for_its_compiler(build, worker):
    service = build(compile_timeout_seconds=3_600)
    await service.submit(parse_submission(form(sourceCode=source_with("endless"))))
    task = asyncio.create_task(service.run())
    while (running := service._solc._running) is None:
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait([task])
    assert await worker.run(running.wait) < 0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("chain", "changes", "match", "reason"),
    [
        (None, {"metadata": metadata()}, Match.METADATA, ""),
        (None, {}, None, "cmt contract verify"),
        (None, {"metadata": metadata() + " "}, None, "not the one whose hash"),
        (None, {"metadata": metadata(), "contractname": "Shares.sol:Shares"}, None, "another contract"),
        (None, {"metadata": metadata(), "sourceCode": source_with("more")}, None, "source Vault.sol is not"),
        (VaultChain(deployed()[:-53]), {"metadata": metadata()}, None, "names no IPFS hash"),
    ],
)
async def test_without_a_compiler_metadata_is_compared_and_labelled(build, chain, changes, match, reason):
    service = build(chain, compiles=False)
    outcome = await outcome_of(service, **changes)
    assert outcome.match == match
    assert reason in outcome.reason
    if match is not None:
        record = await service.record(ADDRESS)
        assert (record.match, record.is_creation_checked) == (Match.METADATA, False)
        assert record.abi == json.loads(metadata())["output"]["abi"]


@pytest.mark.asyncio
async def test_a_surer_match_replaces_a_weaker_one_and_never_the_reverse(build):
    await outcome_of(build(compiles=False), metadata=metadata())
    with pytest.raises(CybermilesError):
        await build(compiles=False).submit(parse_submission(form(metadata=metadata())))
    service = build()
    assert (await outcome_of(service)).match is Match.FULL
    assert (await service.record(ADDRESS)).match is Match.FULL
    with pytest.raises(CybermilesError):
        await service.submit(parse_submission(form()))


@pytest.mark.asyncio
async def test_a_weaker_match_that_comes_late_changes_nothing(build):
    late = build(compiles=False)
    number = await late.submit(parse_submission(form(metadata=metadata())))
    assert (await outcome_of(build())).match is Match.FULL
    task = asyncio.create_task(late.run())
    while late.outcome(number) is None:
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait([task])
    assert late.outcome(number).match is Match.METADATA
    assert (await late.record(ADDRESS)).match is Match.FULL


@pytest.mark.asyncio
async def test_the_queue_is_bounded_and_old_outcomes_are_forgotten(build):
    service = build(queue_max=2, results_max=2)
    numbers = [await service.submit(parse_submission(form())) for _ in range(2)]
    with pytest.raises(Refused, match="verify.queue_max"):
        await service.submit(parse_submission(form()))
    assert len(set(numbers)) == 2
    service = build(queue_max=3, results_max=2)
    first, *_ = [await service.submit(parse_submission(form())) for _ in range(3)]
    with pytest.raises(KeyError):
        service.outcome(first)


@pytest.mark.asyncio
async def test_what_was_verified_is_forgotten_where_the_code_is_another_one(build):
    await outcome_of(build())
    assert await build(VaultChain(with_other_trailer(deployed()))).record(ADDRESS) is None
    assert await build(VaultChain(b"")).record(ADDRESS) is None


@pytest.mark.asyncio
async def test_the_creation_is_found_by_halves():
    chain = VaultChain()
    assert (await find_creation(chain, ADDRESS)).height == 37
    assert len(chain.asked) <= 6
    assert (await find_creation(VaultChain(pruned_below=36), ADDRESS)).height == 37
    assert await find_creation(VaultChain(pruned_below=38), ADDRESS) is None
    assert await find_creation(VaultChain(is_direct=False), ADDRESS) is None


def test_the_store_is_bounded_and_a_damaged_file_is_said(tmp_path, build):
    store = VerifiedStore(tmp_path, contracts_max=1)
    solc = Solc(VerifyConfig(solc=solc_command(tmp_path)))
    _, record = judge(parse_submission(form()), OnChain(deployed(), None), solc, 5)
    store.save(ADDRESS, record)
    store.save(ADDRESS, replace(record, match=Match.PARTIAL))
    assert store.load(ADDRESS, record.code_hash).match is Match.PARTIAL
    with pytest.raises(StoreFull, match="verify.contracts_max"):
        store.save(bytes(20), record)
    (tmp_path / f"{TEXT}.json").write_bytes(b'{"format":1}')
    with pytest.raises(CybermilesError, match="damaged"):
        store.load(ADDRESS, record.code_hash)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("no-such-program-{short}",), Refused, "no-such-program-0.8.30: No such file"),
        (("true",), Refused, "gave no answer"),
        (("echo", "[]"), Refused, "gave no answer|standard JSON"),
    ],
)
def test_a_compiler_that_is_none_is_said(words, error, message):
    with pytest.raises(error, match=message):
        Solc(VerifyConfig(solc=words)).compile(parse_submission(form()))


def test_a_stopped_compiler_runs_no_more(tmp_path):
    solc = Solc(VerifyConfig(solc=solc_command(tmp_path)))
    assert solc.compile(parse_submission(form())) == compiled()
    solc.stop()
    with pytest.raises(Refused, match="stops"):
        solc.compile(parse_submission(form()))
