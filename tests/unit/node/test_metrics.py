"""Metrics: what is counted when blocks are committed, rounds change, messages pass; and that the docs list all of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from cybermiles.chain.fees import Lane
from cybermiles.consensus.core.round_state import Step
from cybermiles.consensus.messages import RoundView
from cybermiles.node.metering import MeteredApplication, MeteredGossip
from cybermiles.node.metrics import (
    BlockMetrics,
    copy_consensus,
    copy_sizes,
    copy_sync,
    count_events,
    create_metrics,
    measure_loop,
)
from cybermiles.rpc.metrics import RequestCounter
from cybermiles.rpc.ports import SyncProgress
from cybermiles.runtime.clock import ManualClock
from cybermiles.types.events import TransactionDropped, TransactionsAdmitted
from cybermiles.types.evidence import duplicate_vote
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.validator import Validator, ValidatorSet
from cybermiles.types.vote import Vote, VoteType
from tests.fakes.rpc import FakeInfo, outcome, populated_chain, sign_transaction

KEYS = [bytes([n]) * 32 for n in range(1, 5)]
VALIDATORS = ValidatorSet(
    tuple(Validator(key, b"\x0a" * 20, power) for key, power in zip(KEYS, (4, 3, 2, 1), strict=True))
)
OWN = VALIDATORS.validators[2].address


def value(metrics, series):
    """Return the value of one series, None where it does not exist."""
    for line in metrics.registry.render().decode().splitlines():
        if line.startswith(f"{series} "):
            return float(line.rpartition(" ")[2])
    return None


def test_there_is_what_cometbfts_dashboards_show():
    rows = create_metrics().registry.rows
    assert len(rows) >= 44
    assert len({row.name for row in rows}) == len(rows)


def committed(*, signed=(True, True, False, True), evidence=(), timestamp=100):
    block = populated_chain().block(1)
    commit = replace(
        block.consensus.last_commit, height=7, signatures=tuple(b"\x01" * 64 if s else None for s in signed)
    )
    header = replace(block.header, height=8, timestamp=timestamp)
    return replace(block, header=header, consensus=replace(block.consensus, last_commit=commit, evidence=evidence))


class Outcome:
    def __init__(self, transactions):
        self.transactions = transactions
        self.minted, self.fees, self.burnt = 10**18, 7, 1
        self.free_gas, self.compute_units = 90_000, 123


def outcomes(block):
    first, second = block.transactions
    return Outcome(
        (
            outcome(first, gas_used=21_000),
            outcome(second, gas_used=30_000, lane=Lane.PAID, failure="execution reverted"),
        )
    )


def test_a_committed_block_counts_transactions_lanes_and_coins():
    metrics = create_metrics()
    listener = BlockMetrics(metrics, lambda _: VALIDATORS, OWN)
    for timestamp in (100, 103):
        block = committed(timestamp=timestamp)
        listener.block_committed(block, outcomes(block))
    assert value(metrics, "cmt_consensus_latest_block_height") == 8
    assert value(metrics, "cmt_consensus_num_txs") == 2
    assert value(metrics, "cmt_consensus_total_txs") == 4
    assert value(metrics, "cmt_consensus_block_interval_seconds_count") == 1
    assert value(metrics, "cmt_consensus_block_interval_seconds_sum") == 3
    assert value(metrics, 'cmt_evm_gas_total{lane="free"}') == 42_000
    assert value(metrics, 'cmt_evm_gas_total{lane="paid"}') == 60_000
    assert value(metrics, 'cmt_evm_txs_total{lane="paid"}') == 2
    assert value(metrics, "cmt_evm_failed_txs_total") == 2
    assert value(metrics, "cmt_evm_free_slots_used") == 1
    assert value(metrics, "cmt_evm_free_gas_used") == 90_000
    assert value(metrics, "cmt_evm_compute_units_total") == 246
    assert value(metrics, "cmt_coins_minted_wei_total") == 2 * 10**18
    assert value(metrics, "cmt_coins_fees_wei_total") == 14
    assert value(metrics, "cmt_coins_burnt_wei_total") == 2


def test_who_did_not_sign_is_counted_by_number_and_power():
    metrics = create_metrics()
    listener = BlockMetrics(metrics, lambda _: VALIDATORS, OWN)
    block = committed(signed=(True, False, False, True))
    listener.block_committed(block, outcomes(block))
    assert value(metrics, "cmt_consensus_missing_validators") == 2
    assert value(metrics, "cmt_consensus_missing_validators_power") == 5
    assert value(metrics, "cmt_consensus_validator_missed_blocks_total") == 1
    assert value(metrics, "cmt_consensus_validator_last_signed_height") == 0
    block = committed(signed=(True, True, True, True))
    listener.block_committed(block, outcomes(block))
    assert value(metrics, "cmt_consensus_missing_validators") == 0
    assert value(metrics, "cmt_consensus_validator_missed_blocks_total") == 1
    assert value(metrics, "cmt_consensus_validator_last_signed_height") == 7


def test_the_first_block_has_no_commit_to_count():
    metrics = create_metrics()
    block = committed(signed=())
    BlockMetrics(metrics, lambda _: pytest.fail("no set is looked up"), OWN).block_committed(block, outcomes(block))
    assert value(metrics, "cmt_consensus_missing_validators") == 0


def vote(block_hash, *, height=7, round_=0, type_=VoteType.PREVOTE):
    return Vote(type_, height, round_, block_hash, VALIDATORS.validators[1].address, b"\x02" * 64)


def test_proven_liars_are_counted_once_with_their_power():
    metrics = create_metrics()
    evidence = tuple(duplicate_vote(vote(None, round_=r), vote(b"\x05" * 32, round_=r)).encode() for r in (0, 1))
    block = committed(evidence=evidence)
    BlockMetrics(metrics, lambda _: VALIDATORS, OWN).block_committed(block, outcomes(block))
    assert value(metrics, "cmt_consensus_byzantine_validators") == 1
    assert value(metrics, "cmt_consensus_byzantine_validators_power") == 3
    assert value(metrics, "cmt_consensus_committed_evidence_total") == 2


def test_where_the_height_stands_is_copied():
    metrics = create_metrics()
    status = FakeInfo().state
    copy_consensus(metrics.consensus, status, b"\x02" * 20)
    assert value(metrics, "cmt_consensus_height") == 6
    assert value(metrics, "cmt_consensus_rounds") == 1
    assert value(metrics, "cmt_consensus_validators") == 3
    assert value(metrics, "cmt_consensus_validators_power") == 6
    assert value(metrics, "cmt_consensus_validator_power") == 2
    assert value(metrics, 'cmt_consensus_round_voting_power_percent{vote_type="prevote"}') == 50
    assert value(metrics, 'cmt_consensus_round_voting_power_percent{vote_type="precommit"}') == 16
    copy_consensus(metrics.consensus, replace(status, validators=()), None)
    assert value(metrics, 'cmt_consensus_round_voting_power_percent{vote_type="prevote"}') == 0


@pytest.mark.parametrize(
    ("progress", "expected"),
    [(None, (0, 5, 5)), (SyncProgress(0, 5, 90), (1, 5, 90)), (SyncProgress(0, 1, 4), (1, 5, 5))],
)
def test_how_far_block_sync_is_is_copied(progress, expected):
    metrics = create_metrics()
    copy_sync(metrics.block_sync, progress, 5)
    names = ("syncing", "latest_block_height", "target_height")
    assert tuple(value(metrics, f"cmt_blocksync_{name}") for name in names) == expected


def test_file_sizes_are_copied(tmp_path):
    metrics = create_metrics()
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"123")
    copy_sizes(metrics.storage, {"chain": tmp_path, "wal": tmp_path / "missing"})
    assert value(metrics, 'cmt_db_bytes{store="chain"}') == 8
    assert value(metrics, 'cmt_db_bytes{store="wal"}') == 0


def test_requests_are_counted_by_method_and_outcome():
    metrics = create_metrics()
    observer = RequestCounter(metrics.rpc)
    observer.request("eth_call", "ok", 0.25)
    observer.request("eth_call", "-32000", 0.5)
    assert value(metrics, 'cmt_rpc_requests_total{method="eth_call",outcome="-32000"}') == 1
    assert value(metrics, 'cmt_rpc_seconds_sum{method="eth_call"}') == 0.75


@pytest.mark.asyncio
async def test_the_pools_events_are_counted_and_a_gap_is_too():
    metrics = create_metrics()
    transaction = sign_transaction(0)
    subscriptions = [[TransactionsAdmitted((transaction,) * 2), TransactionDropped(transaction.hash, "expired")], []]

    async def subscribe():
        for event in subscriptions.pop(0):
            yield event

    with pytest.raises(IndexError):
        await count_events(metrics, subscribe)
    assert value(metrics, "cmt_mempool_admitted_txs_total") == 2
    assert value(metrics, "cmt_mempool_evicted_txs_total") == 1
    assert value(metrics, "cmt_mempool_tx_size_bytes_sum") == 2 * len(transaction.raw)
    assert value(metrics, "cmt_node_events_lost_total") == 2


@pytest.mark.asyncio
async def test_the_event_loops_lag_is_what_a_sleeper_oversleeps():
    metrics, clock = create_metrics(), ManualClock()
    task = asyncio.create_task(measure_loop(metrics.process, clock))
    await asyncio.sleep(0)
    clock.advance(1_000)
    await asyncio.sleep(0)
    task.cancel()
    assert value(metrics, "cmt_node_loop_lag_seconds_sum") == 0.75


class Recorder:
    """Stands for the gossip behind the wrapper: records calls."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        def call(*arguments):
            self.calls.append((name, *arguments))

        return call


VIEW = RoundView(height=7, round=0, step=Step.PROPOSE, is_started=True, is_catching_up=False, last_commit_round=0)


def test_rounds_and_steps_are_timed_by_the_views():
    metrics, clock, inner = create_metrics(), ManualClock(), Recorder()
    gossip = MeteredGossip(inner, metrics.consensus, clock)
    gossip.view_changed(VIEW)
    clock.advance(1_000)
    gossip.view_changed(replace(VIEW, step=Step.PREVOTE))
    clock.advance(2_000)
    gossip.view_changed(replace(VIEW, step=Step.PREVOTE, is_catching_up=True))
    gossip.view_changed(replace(VIEW, round=1))
    clock.advance(4_000)
    gossip.view_changed(replace(VIEW, height=8))
    assert value(metrics, 'cmt_consensus_step_duration_seconds_sum{step="propose"}') == 1 + 4
    assert value(metrics, 'cmt_consensus_step_duration_seconds_sum{step="prevote"}') == 2
    assert value(metrics, "cmt_consensus_round_duration_seconds_sum") == 3 + 4
    assert value(metrics, "cmt_consensus_round_duration_seconds_count") == 2
    assert value(metrics, "cmt_consensus_rounds_entered_total") == 1
    assert [call[0] for call in inner.calls] == ["view_changed"] * 5


def proposal(height, round_=0):
    return SignedProposal(height, round_, -1, b"\x05" * 32, None, b"\x02" * 64)


@pytest.mark.parametrize("is_own", [True, False])
def test_a_decision_is_timed_from_the_first_proposal(is_own):
    metrics, clock = create_metrics(), ManualClock()
    gossip = MeteredGossip(Recorder(), metrics.consensus, clock)
    gossip.view_changed(VIEW)
    if is_own:
        gossip.publish(proposal(7))
    else:
        gossip.accepted(proposal(7), "peer")
    clock.advance(250)
    gossip.accepted(proposal(7, 1), "peer")
    clock.advance(250)
    gossip.view_changed(replace(VIEW, height=8, is_started=False))
    gossip.view_changed(replace(VIEW, height=9))
    assert value(metrics, "cmt_consensus_decision_seconds_sum") == 0.5
    assert value(metrics, "cmt_consensus_decision_seconds_count") == 1
    assert value(metrics, "cmt_consensus_proposal_create_total") == is_own
    assert value(metrics, "cmt_consensus_proposal_receive_total") == 2 - is_own


def test_votes_are_counted_by_type_and_late_ones_again():
    metrics, inner = create_metrics(), Recorder()
    gossip = MeteredGossip(inner, metrics.consensus, ManualClock())
    gossip.view_changed(replace(VIEW, round=1))
    gossip.accepted(vote(None, round_=1), "peer")
    gossip.accepted(vote(None, round_=0), "peer")
    gossip.accepted(vote(None, height=6, round_=5, type_=VoteType.PRECOMMIT), "peer")
    gossip.rejected("peer", "bad signature")
    assert value(metrics, 'cmt_consensus_votes_received_total{vote_type="prevote"}') == 2
    assert value(metrics, 'cmt_consensus_late_votes_total{vote_type="prevote"}') == 1
    assert value(metrics, 'cmt_consensus_late_votes_total{vote_type="precommit"}') == 1
    assert value(metrics, "cmt_consensus_rejected_messages_total") == 1
    assert inner.calls[-1] == ("rejected", "peer", "bad signature")


class SlowApplication:
    def __init__(self, clock):
        self.clock = clock

    def __getattr__(self, name):
        async def call(*arguments):
            self.clock.advance(500)
            return (name, *arguments)

        return call


@pytest.mark.asyncio
async def test_the_applications_calls_are_timed_by_name():
    metrics, clock = create_metrics(), ManualClock()
    application = MeteredApplication(SlowApplication(clock), metrics.abci, clock)
    assert await application.prepare_proposal("request", ()) == ("prepare_proposal", "request", ())
    assert await application.process_proposal(b"value") == ("process_proposal", b"value")
    assert await application.finalize_block(b"hash") == ("finalize_block", b"hash")
    await application.commit("commit")
    assert await application.info() == ("info",)
    assert await application.load(3) == ("load", 3)
    for method in ("prepare_proposal", "process_proposal", "finalize_block", "commit"):
        series = f'cmt_abci_connection_method_timing_seconds_sum{{method="{method}"}}'
        assert value(metrics, series) == 0.5
