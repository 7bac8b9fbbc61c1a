"""The measurement of many validators under load measures: a small network, every figure within what it must be."""

from __future__ import annotations

import asyncio
from argparse import Namespace

import pytest

from benchmarks.bench_validators import measure
from tests.simulation import chains, keys
from tests.simulation.whole_node import WholeNode

HEIGHTS, RATE = 4, 50


@pytest.mark.slow
def test_every_node_gets_every_transaction_and_every_vote():
    before = asyncio.Handle._run, WholeNode.moved, WholeNode.receive, chains.Work.run, keys.verify
    options = Namespace(heights=HEIGHTS, rate=RATE, peers=8, lan=False, mbit=0, seed=1)
    line = measure(5, options, verify_us=100)
    assert before == (asyncio.Handle._run, WholeNode.moved, WholeNode.receive, chains.Work.run, keys.verify)
    assert line["peers"] == 4
    assert line["heights"] >= HEIGHTS
    assert line["transactions"] >= RATE * (HEIGHTS - 1)
    assert line["decisions_above_round_0"] == 0
    assert line["votes_needed"] == 2 * 5 <= line["votes_sent_per_height_and_node"]
    assert line["signatures_checked_per_height_and_node"] >= 2 * 4
    assert line["transaction_bytes_sent_per_transaction_and_node"] >= 100
    work = line["cpu_ms_by_work"]
    assert {"consensus", "execution", "recovery", "transactions", "signatures of validators"} <= set(work)
    assert all(spent > 0 for spent in work.values())
    assert sum(work.values()) == pytest.approx(line["cpu_ms_per_height_and_node"], abs=0.1)
    assert 0 < line["proposal_to_decision_ms"]["p50"] < line["submission_to_block_ms"]["p95"]
