"""The parts of a node that know how far the chain has come, built together on a foundation.

Where blocks are taken back (`live_chain`), all of them are built anew, as at a start: none has to forget anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cybermiles.application.application import ChainApplication
from cybermiles.application.governed import EffectiveParams
from cybermiles.application.history import CommittedHistory
from cybermiles.chain.predeploys import GOVERNANCE
from cybermiles.consensus.core.timeouts import EngineSettings
from cybermiles.consensus.evidence_pool import EvidencePool
from cybermiles.consensus.ports import RunnerPorts
from cybermiles.consensus.privval import FileSigner
from cybermiles.consensus.runner import ConsensusRunner
from cybermiles.consensus.settings import RunnerSettings
from cybermiles.consensus.validator_key import load_key
from cybermiles.consensus.verifier import BatchVerifier
from cybermiles.governance.holds import frozen_accounts
from cybermiles.mempool.admission import Admission
from cybermiles.mempool.pool import Pool
from cybermiles.mempool.service import MempoolService
from cybermiles.node.chain_rules import chain_of, facts_of, rules_of
from cybermiles.node.dev_parts import AskedFor, DevClock
from cybermiles.node.events import CommittedBlocks
from cybermiles.node.metering import MeteredApplication
from cybermiles.node.metrics import BlockMetrics, PoolMetrics
from cybermiles.node.snapshots import Snapshots
from cybermiles.runtime.clock import SystemClock
from cybermiles.runtime.directory import OsDirectory
from cybermiles.snapshots.shelf import Shelf
from cybermiles.state.slots import ReadStorage
from cybermiles.types.evidence import verify_evidence
from cybermiles.types.transaction import recover_senders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.application.ports import CommitListener
    from cybermiles.node.foundation import Foundation
    from cybermiles.storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainParts:
    """Each knows the others of its own set only."""

    database: Database
    mempool: MempoolService
    pool_metrics: PoolMetrics
    evidence: EvidencePool
    signer: FileSigner
    snapshots: Snapshots
    application: ChainApplication
    asked: AskedFor | None
    """Asks the engine for blocks; None but on a chain for development."""
    engine: ConsensusRunner

    @property
    def height(self) -> int:
        """The newest durable block's."""
        return self.application.height


def build_parts(foundation: Foundation, listener: CommitListener) -> ChainParts:
    """Wire the parts of a chain as it is in the store; `listener` is told of blocks after all of them."""
    database = foundation.open_database()
    mempool = _mempool(foundation, database)
    signer, evidence = _signer(foundation), _evidence(foundation, database)
    snapshots = _snapshots(foundation, database)
    asked = AskedFor(mempool) if isinstance(foundation.clock, DevClock) else None
    listeners: list[CommitListener] = [
        mempool,
        evidence,
        CommittedBlocks(foundation.events.publish),
        BlockMetrics(foundation.metrics, database.validators.validators, signer.address),
        snapshots,
        *(() if asked is None else (asked,)),
        listener,
    ]
    application = _application(foundation, database, mempool, listeners)
    ports = RunnerPorts(
        application=MeteredApplication(application, foundation.metrics.abci, foundation.clock),
        transactions=mempool if asked is None else asked,
        evidence=evidence,
        signer=signer,
        verifier=BatchVerifier(foundation.workers.signatures),
        clock=foundation.clock,
        log_directory=foundation.log_directory,
        worker=foundation.workers.log,
    )
    return ChainParts(
        database=database,
        mempool=mempool,
        pool_metrics=PoolMetrics(foundation.metrics.mempool, mempool),
        evidence=evidence,
        signer=signer,
        snapshots=snapshots,
        application=application,
        asked=asked,
        engine=ConsensusRunner(ports, _runner_settings(foundation)),
    )


def _mempool(foundation: Foundation, database: Database) -> MempoolService:
    document, state = foundation.document, database.state
    params = EffectiveParams(document.params).at(state)
    head = database.blocks.header(database.chain.head.height) if database.chain.head else None
    frozen = () if head is None else frozen_accounts(ReadStorage(state, GOVERNANCE), head.timestamp)
    return MempoolService(
        pool=Pool(foundation.config.mempool, params),
        admission=Admission(rules_of(facts_of(document)), params, allow_unprotected=document.allow_unprotected),
        head=lambda: database.state,
        clock=foundation.clock,
        threads=foundation.workers.signatures,
        publish=foundation.events.publish,
        frozen=frozen,
    )


def _signer(foundation: Foundation) -> FileSigner:
    directory, document = foundation.directory, foundation.document
    return FileSigner(
        load_key(directory.validator_key),
        directory=OsDirectory(directory.validator_state.parent),
        state_name=directory.validator_state.name,
        chain_id=document.chain_id,
        genesis_hash=document.hash,
        worker=foundation.workers.log,
    )


def _evidence(foundation: Foundation, database: Database) -> EvidencePool:
    document = foundation.document
    return EvidencePool(
        params=EffectiveParams(document.params).at(database.state),
        history=CommittedHistory(database),
        storage=database.evidence,
        verify=partial(verify_evidence, chain_id=document.chain_id, genesis_hash=document.hash),
        head_height=database.chain.head.height if database.chain.head else 0,
    )


def _snapshots(foundation: Foundation, database: Database) -> Snapshots:
    config = foundation.config
    return Snapshots(
        store=foundation.store,
        database=database,
        params=foundation.document.params,
        shelf=Shelf(foundation.directory.snapshots),
        worker=foundation.workers.snapshots,
        clock=SystemClock(),
        interval=config.state_sync.snapshot_interval if config.p2p_enabled else 0,
        kept=config.state_sync.keep_snapshots,
    )


def _application(
    foundation: Foundation, database: Database, mempool: MempoolService, listeners: Sequence[CommitListener]
) -> ChainApplication:
    workers = foundation.workers
    return ChainApplication(
        chain=chain_of(facts_of(foundation.document)),
        database=database,
        params=foundation.document.params,
        worker=workers.blocks,
        listeners=listeners,
        pooled=mempool.find,
        recover=partial(workers.signatures.spread, recover_senders),
    )


def _runner_settings(foundation: Foundation) -> RunnerSettings:
    config, document = foundation.config, foundation.document
    params = document.params
    return RunnerSettings(
        chain_id=document.chain_id,
        genesis_hash=document.hash,
        engine=EngineSettings(
            timeouts=config.timeouts,
            rebroadcast_ms=config.consensus.rebroadcast_ms,
            clock_precision_ms=params.clock_precision_ms,
            message_delay_ms=params.message_delay_ms,
        ),
        block_interval_ms=config.consensus.block_interval_ms or params.block_interval_ms,
        create_empty_blocks=config.consensus.create_empty_blocks,
        max_value_bytes=params.max_value_bytes,
        double_sign_check_heights=config.consensus.double_sign_check_height,
    )
