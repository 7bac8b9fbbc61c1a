"""What members decide, in two applications over real databases: one chain, one height, one set of parameters."""

from __future__ import annotations

import json

import pytest

from cybermiles.application.application import ChainApplication
from cybermiles.application.governed import EffectiveParams, check_version
from cybermiles.chain.predeploys import GOVERNANCE
from cybermiles.errors import AccountFrozen, UpgradeRequired
from cybermiles.execution.genesis import genesis_block
from cybermiles.mempool.admission import Admission
from cybermiles.mempool.limits import PoolLimits
from cybermiles.mempool.pool import Pool
from cybermiles.mempool.service import MempoolService
from cybermiles.node.chain_view import ChainView
from cybermiles.rpc.config import RpcLimits
from cybermiles.rpc.logs import LogQuery, log_search
from cybermiles.rpc.serializers import Serializer
from cybermiles.state.kv import MemoryStore
from cybermiles.storage.database import Database
from cybermiles.storage.recovery import check_store
from cybermiles.storage.rollback import rollback_head
from cybermiles.storage.schema import BLOCK_LOGS, LOG_INDEX, at_height
from cybermiles.system.abi import load_abi
from cybermiles.types.abci import PrepareRequest
from cybermiles.vm.rules import ChainRules, Fork
from tests.factories import ADDRESSES, DEVNET_ID, KEYS, PAID, commit_of, sign
from tests.fakes.council import CMT, NOTICE, TIMELOCK, VOTING, CouncilChain
from tests.fakes.governance import tree

GOV = load_abi("ICmtGovernance")
THIEF, VICTIM = 10, 11


class Inline:
    async def run(self, function, *args, **kwargs):
        return function(*args, **kwargs)


class Now:
    def now_ms(self):
        return 1_000_000


class Network:
    """Two applications and the pool of the first."""

    def __init__(self):
        reference = CouncilChain()
        self.chain, self.document = reference.chain, reference.document
        self.nonces = {}
        self.databases = [Database(MemoryStore()), Database(MemoryStore())]
        rules = ChainRules(fork=Fork.OSAKA, chain_id=DEVNET_ID)
        params = self.document.params
        self.dropped = []
        self.pool = MempoolService(
            pool=Pool(PoolLimits(), params),
            admission=Admission(rules, params, allow_unprotected=True),
            head=lambda: self.databases[0].state,
            clock=Now(),
            threads=Inline(),
            publish=self.dropped.append,
        )
        self.applications = []
        for number, database in enumerate(self.databases):
            database.commit_genesis(genesis_block(self.document))
            self.applications.append(
                ChainApplication(
                    chain=self.chain,
                    database=database,
                    params=params,
                    worker=Inline(),
                    listeners=(self.pool,) if number == 0 else (),
                )
            )

    @property
    def params(self):
        return [application.parent.params for application in self.applications]

    def govern(self, number, name, *arguments, value=0):
        nonce = self.nonces[number] = self.nonces.get(number, -1) + 1
        data = GOV.functions[name].encode_call(*arguments)
        return sign(KEYS[number], nonce, to=GOVERNANCE, value=value, gas=4_000_000, price=PAID, data=data)

    async def block(self, *transactions, seconds=1):
        """The first application builds, both check, finalize and commit."""
        first, second = self.applications
        info = await first.info()
        request = PrepareRequest(
            height=info.height + 1,
            timestamp=info.timestamp + seconds,
            proposer=info.rotation.proposer.address,
            last_commit=info.last_commit,
        )
        proposal = await first.prepare_proposal(request, transactions)
        verdict = await second.process_proposal(proposal.value)
        assert (verdict.accepted, verdict.reason) == (True, "")
        commit = commit_of(self.chain, info.rotation.validators, request.height, proposal.block_hash)
        for application in self.applications:
            await application.finalize_block(proposal.block_hash)
            await application.commit(commit)
        block = self.databases[0].blocks.block(request.height)
        assert len(block.transactions) == len(transactions)
        outcomes = self.databases[0].receipts.outcomes(request.height)
        assert all(entry.outcome.receipt.succeeded for entry in outcomes)
        return block

    async def wait(self, seconds):
        await self.block(seconds=seconds)
        return await self.block()

    async def pass_(self, proposal=1):
        await self.wait(NOTICE)
        await self.block(*[self.govern(number, "vote", proposal, 1) for number in range(4)])
        await self.wait(VOTING)


@pytest.mark.asyncio
async def test_two_applications_change_a_parameter_at_one_height():
    network = Network()
    await network.block(network.govern(5, "proposeParam", "free_slots_per_block", "50", 0, "t", "r", 0, value=10 * CMT))
    await network.pass_()
    genesis = network.document.params
    assert network.params == [genesis, genesis]
    block = await network.block(seconds=TIMELOCK)
    assert block.consensus.parameters_hash == genesis.hash
    assert [params.free_slots_per_block for params in network.params] == [50, 50]
    assert network.params[0] == network.params[1] != genesis
    block = await network.block()
    assert block.consensus.parameters_hash == network.params[0].hash
    assert network.pool.pool.params == network.params[0]
    view = ChainView(network.databases[1], DEVNET_ID, genesis, tuple)
    assert view.params == network.params[0]
    assert view.params_at(block.height - 1) == network.params[0]
    assert view.params_at(block.height - 2) == genesis
    for database in network.databases:
        assert check_store(Database(database.store)).height == block.height


@pytest.mark.asyncio
async def test_after_blocks_were_taken_back_another_change_counts_though_it_is_the_first_again():
    views = []
    for value in ("50", "60"):
        network = Network()
        await network.block(
            network.govern(5, "proposeParam", "free_slots_per_block", value, 0, "t", "r", 0, value=10 * CMT)
        )
        await network.pass_()
        await network.block(seconds=TIMELOCK)
        views.append(network)
    first, second = views
    view = ChainView(first.databases[0], DEVNET_ID, first.document.params, tuple)
    assert view.params.free_slots_per_block == 50
    view.look_at(second.databases[0], tuple)
    assert view.params.free_slots_per_block == 60
    assert view.params_at(view.head_height()).free_slots_per_block == 60


@pytest.mark.asyncio
async def test_what_happens_in_no_transaction_is_found_by_its_address_and_gone_with_its_block():
    network = Network()
    await network.block(network.govern(5, "proposeSignal", "t", "r", 0, value=10 * CMT))
    block = await network.wait(NOTICE + VOTING)
    closed = block.height - 1
    while not network.databases[0].receipts.system_logs(closed) or GOVERNANCE not in [
        log.address for log in network.databases[0].receipts.system_logs(closed)
    ]:
        closed += 1
        await network.block()
    database = network.databases[0]
    view = ChainView(database, DEVNET_ID, network.document.params, tuple)
    topic = GOV.events["Closed"].topic
    query = LogQuery(addresses=(GOVERNANCE,), topics=((topic,),))
    assert list(view.heights_with(query.addresses, query.topics, 0, closed)) == [closed]
    search = log_search(query, (0, closed), Serializer(), RpcLimits())
    (log,) = json.loads(search.run(view).json)
    assert (log["transactionHash"], log["transactionIndex"]) == ("0x" + "00" * 32, "0x0")
    assert int.from_bytes(view.header(closed).logs_bloom) == 0
    assert log["logIndex"] == hex([entry.topics[0] for entry in view.system_logs(closed)].index(topic))
    while database.chain.head.height > closed - 1:
        rollback_head(database)
        database = Database(database.store)
    assert database.receipts.system_logs(closed) == ()
    assert database.store.get(at_height(LOG_INDEX, closed)) is None
    assert database.store.get(at_height(BLOCK_LOGS, closed)) is None


@pytest.mark.asyncio
async def test_the_pool_drops_and_refuses_a_frozen_account():
    network = Network()
    root = tree({ADDRESSES[VICTIM]: 1, ADDRESSES[12]: 2})[0]
    terms = (ADDRESSES[THIEF], 3, root, b"\x0e" * 32)
    await network.block(network.govern(VICTIM, "proposeRecovery", terms, "t", "r", 0, value=10 * CMT))
    waiting = sign(KEYS[THIEF], 0, to=ADDRESSES[99], value=5)
    await network.pool.submit(waiting.raw)
    await network.block(network.govern(0, "supportHold", 1), network.govern(1, "supportHold", 1))
    assert network.pool.lookup(waiting.hash) is None
    assert network.pool.status(waiting.hash).reason == "account frozen by vote of the members"
    with pytest.raises(AccountFrozen, match="account frozen"):
        await network.pool.submit(sign(KEYS[THIEF], 0, to=ADDRESSES[99], value=6).raw)
    await network.block(network.govern(VICTIM, "cancel", 1))
    await network.pool.submit(waiting.raw)


@pytest.mark.asyncio
async def test_a_node_without_the_version_stops_before_its_height_and_at_every_start():
    network = Network()
    terms = ("n", "2.0", 2, 40, b"\x05" * 32, "u")
    await network.block(network.govern(5, "proposeUpgrade", terms, "t", "r", 0, value=10 * CMT))
    await network.pass_()
    await network.wait(TIMELOCK)
    while network.applications[0].height < 38:
        await network.block()
    with pytest.raises(UpgradeRequired, match="block 40 needs version 2 of the rules and this software has 1"):
        while True:
            await network.block()
    assert [application.height for application in network.applications] == [39, 39]
    with pytest.raises(UpgradeRequired):
        await network.applications[1].info()
    again = ChainApplication(
        chain=network.chain,
        database=Database(network.databases[0].store),
        params=network.document.params,
        worker=Inline(),
        listeners=(),
    )
    with pytest.raises(UpgradeRequired):
        await again.info()


def test_parameters_are_kept_by_the_number_of_changes():
    chain = CouncilChain()
    effective = EffectiveParams(chain.document.params)
    assert effective.at(chain.state) is effective.at(chain.state) is chain.document.params
    check_version(chain.state, 1)
