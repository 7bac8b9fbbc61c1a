"""The node's ports in memory: a short chain with every transaction type, a pool, an executor with set answers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import orjson

from cybermiles.chain.fees import Lane
from cybermiles.chain.params import ChainParams
from cybermiles.chain.predeploys import STAKING
from cybermiles.crypto.hashing import keccak256
from cybermiles.crypto.secp256k1 import address_of, sign
from cybermiles.errors import InvalidTransaction, NonceTooLow
from cybermiles.execution.outcome import TransactionOutcome
from cybermiles.rpc.block_jobs import BlockFees, RenderBlock, RenderReceipt
from cybermiles.rpc.config import RpcConfig, RpcLimits
from cybermiles.rpc.jsonrpc import RawJson
from cybermiles.rpc.logs import LogSearch
from cybermiles.rpc.methods import Context
from cybermiles.rpc.node_status import ConsensusStatus, NodeIdentity, PeerStatus, ValidatorIdentity, ValidatorVotes
from cybermiles.rpc.operator_pages import OperatorPages
from cybermiles.rpc.ports import (
    PendingBlock,
    PoolContent,
    StateUnavailable,
    Supply,
    SyncProgress,
    TransactionState,
    TransactionStatus,
)
from cybermiles.rpc.service import RpcPorts, build_server
from cybermiles.rpc.simulation.job import SimulateBlocks
from cybermiles.rpc.traces.jobs import TraceBlock
from cybermiles.runtime.clock import ManualClock
from cybermiles.runtime.event_bus import EventBus
from cybermiles.staking.layout import ID_OF, MISSED, WATCH, candidate_slot
from cybermiles.staking.records import WATCH_WORD
from cybermiles.state.reader import NoState, StateChanges
from cybermiles.state.slots import items_slot, mapping_slot
from cybermiles.state.trie import TrieStateReader, ordered_root, update_root
from cybermiles.system.abi import load_abi, load_document
from cybermiles.system.interface import ADDRESSES
from cybermiles.types import rlp
from cybermiles.types.block import Block, ConsensusData
from cybermiles.types.block_logs import BlockLogs, encode_block_logs
from cybermiles.types.commit import EMPTY_COMMIT
from cybermiles.types.events import BlockCommitted, TransactionsAdmitted
from cybermiles.types.header import Header
from cybermiles.types.primitives import (
    EMPTY_CODE_HASH,
    EMPTY_TRIE_ROOT,
    GWEI,
    WEI_PER_CMT,
    ZERO_HASH,
    Address,
    Hash32,
    Wei,
)
from cybermiles.types.receipt import Log, Receipt, bloom_bits, logs_bloom
from cybermiles.types.transaction import Authorization
from cybermiles.types.transaction_codec import UnsignedTransaction, decode_transaction
from cybermiles.vm.backend import ExecutionResult, Failure
from tests.fakes.single_reads import SingleReads
from tests.fakes.state import MemoryNodes

CHAIN_ID = 181_818
KEY = (7).to_bytes(32)
OTHER_KEY = (8).to_bytes(32)
SENDER = Address(address_of(KEY))
OTHER = Address(address_of(OTHER_KEY))
CONTRACT = Address(b"\xc0" * 20)
STRANGER = Address(b"\x5e" * 20)
TOPIC = Hash32(keccak256(b"Transfer(address,address,uint256)"))
OTHER_TOPIC = Hash32(keccak256(b"Approval(address,address,uint256)"))
CODE = bytes.fromhex("60006000fd")
VALIDATOR = (3, 1, 120, 5 * WEI_PER_CMT, 2 * WEI_PER_CMT, 9 * WEI_PER_CMT, 200_000, 7, True, False, 2, 0, False)
"""`ICmtStaking.ValidatorView` behind owner and key."""


def sign_transaction(nonce=0, *, key=KEY, **fields):
    """Return a signed transaction; by default a zero-price transfer of type 2."""
    return UnsignedTransaction(
        **(
            {
                "chain_id": CHAIN_ID,
                "nonce": nonce,
                "max_fee_per_gas": 0,
                "max_priority_fee_per_gas": 0,
                "gas_limit": 21_000,
                "to": OTHER,
                "value": 1,
            }
            | fields
        )
    ).sign(key)


def authorization(nonce=0, *, key=OTHER_KEY, address=CONTRACT):
    """Return a signed EIP-7702 authorization."""
    message = b"\x05" + rlp.encode_list((rlp.encode_int(CHAIN_ID), rlp.encode_bytes(address), rlp.encode_int(nonce)))
    return Authorization(CHAIN_ID, address, nonce, *sign(keccak256(message), key))


def outcome(transaction, *, gas_used=21_000, cumulative=None, logs=(), lane=Lane.FREE, price=0, **fields):
    """Return what a transaction did."""
    failure = fields.pop("failure", None)
    return TransactionOutcome(
        **{
            "receipt": Receipt(
                transaction.type, failure is None, cumulative or gas_used, tuple(logs), logs_bloom(logs)
            ),
            "gas_used": gas_used,
            "effective_gas_price": Wei(price),
            "lane": lane,
            "compute_units": 30,
            "contract_address": None,
            "failure": failure,
            "output": b"",
        }
        | fields
    )


def log(*topics, address=CONTRACT, data=b"\x01\x02"):
    """Return a log."""
    return Log(address, tuple(topics), data)


def absent_candidate():
    """Return staking's storage with one candidate, whose bits of heights 0 and 3 are set in a window of 5."""
    first = candidate_slot(1)
    watch = WATCH_WORD.unpack(0)._replace(missed=2, window=5)
    return {mapping_slot(ID_OF, SENDER): 1, first + WATCH: WATCH_WORD.pack(watch), items_slot(first + MISSED): 0b01001}


class FakeChain(SingleReads):
    """A `ChainReader` that blocks are added to."""

    def __init__(self):
        self.chain_id = CHAIN_ID
        self.params = ChainParams()
        self.older_params = {}
        self.nodes = MemoryNodes()
        self.codes = {EMPTY_CODE_HASH: b"", Hash32(keccak256(CODE)): CODE}
        self.headers = []
        self.blocks = {}
        self.results = {}
        self.pruned_below = 0
        self.template = None
        self.index_calls = 0
        changes = StateChanges(
            accounts={
                SENDER: (5, 1_000 * WEI_PER_CMT, EMPTY_CODE_HASH),
                OTHER: (0, 3, EMPTY_CODE_HASH),
                CONTRACT: (1, 0, Hash32(keccak256(CODE))),
                STAKING: (1, 0, Hash32(keccak256(CODE))),
            },
            storage={CONTRACT: {0: 28, 1: 2**256 - 1, 1000: 7}, STAKING: absent_candidate()},
        )
        update = update_root(self.nodes, NoState(), EMPTY_TRIE_ROOT, changes)
        self.nodes.apply(update)
        self.headers.append(self._header(ZERO_HASH, 0, update.root, (), ()))

    def add(self, transactions=(), outcomes=()):
        """Commit a block and return it."""
        parent = self.headers[-1]
        block = Block(
            self._header(parent.hash, parent.height + 1, parent.state_root, transactions, outcomes),
            tuple(transactions),
            ConsensusData(
                proposer=bytes(20),
                validators_hash=ZERO_HASH,
                next_validators_hash=ZERO_HASH,
                last_commit=EMPTY_COMMIT,
                evidence=(),
                parameters_hash=ZERO_HASH,
                app_version=1,
            ),
        )
        self.headers.append(block.header)
        self.blocks[block.height] = block
        self.results[block.height] = tuple(outcomes)
        return block

    def _header(self, parent_hash, height, root, transactions, outcomes):
        return Header(
            parent_hash=Hash32(parent_hash),
            coinbase=OTHER,
            state_root=root,
            transactions_root=ordered_root([tx.raw for tx in transactions]),
            receipts_root=ordered_root([o.receipt.encode() for o in outcomes]),
            logs_bloom=logs_bloom([entry for o in outcomes for entry in o.receipt.logs]),
            height=height,
            gas_limit=200_000_000,
            gas_used=sum(o.gas_used for o in outcomes),
            timestamp=1_700_000_000 + height,
            extra_data=b"\xee" * 32,
            prev_randao=Hash32(keccak256(bytes([height % 256]))),
        )

    def params_at(self, height):
        self.state(height)
        return self.older_params.get(height, self.params)

    def head_height(self):
        return len(self.headers) - 1

    def header(self, height):
        return self.headers[height] if height < len(self.headers) else None

    def height_of(self, block_hash):
        return next((h.height for h in self.headers if h.hash == block_hash), None)

    def block(self, height):
        return self.blocks.get(height)

    def block_size(self, height):
        return len(self.blocks[height].encode()) if height in self.blocks else 540

    def outcomes(self, height):
        return self.results.get(height, ())

    def system_logs(self, height):
        return ()

    def block_logs(self, height):
        block = self.blocks.get(height)
        if block is None:
            return None
        logs = zip((tx.hash for tx in block.transactions), (o.receipt.logs for o in self.results[height]), strict=True)
        record = encode_block_logs(block.header, logs)
        return BlockLogs(height, record) if record else None

    def locate_transaction(self, tx_hash):
        for height, block in self.blocks.items():
            for index, transaction in enumerate(block.transactions):
                if transaction.hash == tx_hash:
                    return height, index
        return None

    def state(self, height):
        if height < self.pruned_below:
            raise StateUnavailable(f"missing trie node: the oldest state is that of {self.pruned_below}")
        return TrieStateReader(self.nodes, self, self.headers[height].state_root)

    def trie_nodes(self, height):
        self.state(height)
        return self.nodes

    def code(self, code_hash):
        return self.codes[code_hash]

    def heights_with(self, addresses, topics, first, last):
        self.index_calls += 1
        for height in range(first, last + 1):
            bits = int.from_bytes(self.headers[height].logs_bloom)
            groups = [group for group in (addresses, *topics) if group]
            if bits and all(any(bits & bloom_bits(e) == bloom_bits(e) for e in g) for g in groups):
                yield height

    def pending_block(self):
        return self.template

    def supply(self, height):
        return Supply(Wei(10**27), Wei(height * 1000), Wei(height))


@dataclass
class FakeExecutor:
    """Answers what it is told, and remembers what it was asked."""

    result: ExecutionResult = None
    gas: int = 21_000
    error: Exception | None = None
    delay: float = 0
    asked: list = field(default_factory=list)
    chain: FakeChain | None = None
    """What logs are searched in."""
    system: dict = field(default_factory=dict)
    """(contract, selector) to (function, its result): what system contracts answer."""

    def __post_init__(self):
        self.result = self.result or execution_result(output=b"\x2a".rjust(32, b"\0"))

    def answer(self, interface, function, value):
        """Set what a function of a system contract answers: a value, or a function of the arguments."""
        method = load_abi(interface).functions[function]
        self.system[ADDRESSES[interface], method.selector] = (method, value)

    async def call(self, message, height, overrides, block_overrides):
        asked = ("call", message, height, overrides, block_overrides)
        known = self.system.get((message.to, message.data[:4]))
        if known is None:
            return await self._answer(asked, self.result)
        method, value = known
        if callable(value):
            value = value(*method.decode_arguments(message.data))
        result = value if isinstance(value, ExecutionResult) else execution_result(output=method.encode_output(value))
        return await self._answer(asked, result)

    async def estimate_gas(self, message, height, overrides):
        return await self._answer(("estimate", message, height, overrides), self.gas)

    async def create_access_list(self, message, height):
        failure = None if self.result.failure is None else self.result.failure.value
        return await self._answer(("access", message, height), (((CONTRACT, (0, 1)),), self.gas, failure))

    async def run(self, job):
        """Search logs on the chain; remember any other job and answer `result`."""
        if isinstance(job, (LogSearch, RenderBlock, RenderReceipt, BlockFees)):
            self.asked.append(("run", job))
            return job.run(self.chain)
        if type(job).__module__ == "cybermiles.rpc.traces.jobs":
            return await self._answer(("run", job), RawJson(b"[]" if type(job) is TraceBlock else b"{}"))
        if type(job).__module__ == "cybermiles.rpc.otterscan.jobs":
            return await self._answer(("run", job), RawJson(b"null"))
        if isinstance(job, SimulateBlocks):
            return await self._answer(("run", job), RawJson(b"[]"))
        return await self._answer(("run", job), self.result)

    async def _answer(self, asked, answer):
        self.asked.append(asked)
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.error is not None:
            raise self.error
        return answer


def execution_result(*, failure=None, output=b"", gas_used=21_000):
    """Return what a call did."""
    return ExecutionResult(
        failure=failure,
        gas_used=gas_used,
        gas_refund=0,
        compute_units=10,
        output=output,
        logs=(),
        contract_address=None,
    )


def reverted(output=b""):
    """Return a call that reverted with this data."""
    return execution_result(failure=Failure.REVERT, output=output)


class FakePool:
    """Takes every transaction whose nonce is not below `least_nonce`."""

    def __init__(self):
        self.events = EventBus()
        self.pooled = {}
        self.waiting = {}
        self.statuses = {}
        self.least_nonce = 0
        self.batches = []

    async def submit(self, raw):
        transaction = decode_transaction(raw)
        if transaction.nonce < self.least_nonce:
            raise NonceTooLow(f"nonce too low: next nonce {self.least_nonce}, tx nonce {transaction.nonce}")
        self.pooled[transaction.hash] = transaction
        self.events.publish(TransactionsAdmitted((transaction,)))
        return transaction.hash

    async def submit_batch(self, raws):
        self.batches.append(len(raws))
        answers = []
        for raw in raws:
            try:
                answers.append(await self.submit(raw))
            except InvalidTransaction as error:
                answers.append(error)
        return answers

    def pending_nonce(self, address):
        nonces = [tx.nonce for tx in self.pooled.values() if tx.sender == address]
        return max(nonces) + 1 if nonces else None

    def transaction(self, tx_hash):
        return self.pooled.get(tx_hash) or self.waiting.get(tx_hash)

    def pending(self):
        return tuple(self.pooled.values())

    def content(self):
        return PoolContent(_by_sender(self.pooled), _by_sender(self.waiting))

    def status(self, tx_hash):
        if tx_hash in self.pooled:
            return TransactionStatus(TransactionState.PENDING)
        return self.statuses.get(tx_hash)


def _by_sender(pooled):
    senders = {}
    for transaction in sorted(pooled.values(), key=lambda tx: tx.nonce):
        senders.setdefault(transaction.sender, []).append(transaction)
    return senders


def validator_votes(name, number, *, prevote=None, precommit=None, is_proposer=False):
    """One validator of a consensus status, with the power of its number."""
    return ValidatorVotes(
        name=name,
        address=bytes([number]) * 20,
        operator=SENDER,
        power=number,
        is_proposer=is_proposer,
        prevote=prevote,
        precommit=precommit,
    )


class FakeMetrics:
    """Metrics that are always the same."""

    def render(self):
        return b"cmt_consensus_height 6\n"


@dataclass
class FakeInfo:
    """A node that is whatever the test says."""

    client_version: str = "cybermiles/v0/test/python3"
    network_id: int = CHAIN_ID
    peer_count: int = 3
    listening: bool = True
    syncing: SyncProgress | None = None
    identity: NodeIdentity = NodeIdentity(
        id="ab" * 20,
        moniker="tester",
        listen_address="127.0.0.1:26656",
        validator=ValidatorIdentity(address=b"\x11" * 20, public_key=b"\x12" * 32, operator=SENDER, power=3),
    )
    known_peers: tuple[PeerStatus, ...] = ()
    state: ConsensusStatus = ConsensusStatus(
        height=6,
        round=1,
        step="prevote",
        is_started=True,
        is_catching_up=False,
        explanation="height 6 waits for carol",
        locked_round=None,
        valid_round=0,
        validators=(
            validator_votes("alice", 1, prevote="0x" + "aa" * 32, precommit="nil", is_proposer=True),
            validator_votes("bob", 2, prevote="nil"),
            validator_votes("carol", 3),
        ),
    )

    def peers(self):
        return self.known_peers

    def consensus(self):
        return self.state


def populated_chain():
    """Return a chain of five blocks: every transaction type, logs, a failure, a creation, an empty block."""
    chain = FakeChain()
    legacy = sign_transaction(0, type=0, max_fee_per_gas=2 * GWEI, max_priority_fee_per_gas=2 * GWEI)
    unprotected = sign_transaction(1, type=0, chain_id=None, gas_limit=90_000)
    chain.add([legacy, unprotected], [outcome(legacy), outcome(unprotected, cumulative=42_000)])
    listed = sign_transaction(2, type=1, access_list=((CONTRACT, (0, 2**200)),), to=CONTRACT, data=b"\x01")
    dynamic = sign_transaction(3, max_fee_per_gas=3 * GWEI, max_priority_fee_per_gas=2 * GWEI, to=CONTRACT)
    chain.add(
        [listed, dynamic],
        [
            outcome(listed, logs=[log(TOPIC), log(TOPIC, OTHER_TOPIC, data=b"")]),
            outcome(
                dynamic,
                cumulative=42_000,
                logs=[log(OTHER_TOPIC, address=STRANGER)],
                lane=Lane.PAID,
                price=2 * GWEI,
            ),
        ],
    )
    chain.add()
    creation = sign_transaction(4, to=None, data=CODE, gas_limit=800_000, max_fee_per_gas=2 * GWEI)
    delegation = sign_transaction(5, type=4, authorizations=(authorization(),))
    chain.add(
        [creation, delegation],
        [
            outcome(creation, contract_address=CONTRACT, lane=Lane.SPONSORED, gas_used=60_000),
            outcome(delegation, cumulative=81_000, failure="execution reverted", output=b"\x08\xc3"),
        ],
    )
    last = sign_transaction(0, key=OTHER_KEY, to=CONTRACT)
    chain.add([last], [outcome(last, logs=[log(), log(TOPIC, TOPIC, TOPIC, TOPIC)])])
    parent = chain.headers[-1]
    chain.template = PendingBlock(
        replace(parent, parent_hash=parent.hash, height=parent.height + 1), (sign_transaction(6),)
    )
    return chain


class FakeNode:
    """Every port, and a server on them that is not started."""

    def __init__(self, config=None, *, limits=None, chain=None, **options):
        self.config = config or RpcConfig(
            port=0,
            namespaces=("eth", "net", "web3", "txpool", "cmt", "ots", "debug", "admin"),
            limits=limits or RpcLimits(),
        )
        self.chain = chain or populated_chain()
        self.executor = FakeExecutor(chain=self.chain)
        self.executor.answer("ICmtGovernance", "proposals", [])
        for function in ("validators", "delegationsOf"):
            self.executor.answer("ICmtStaking", function, [])
        self.executor.answer("ICmtStaking", "awardsPaid", ([], []))
        self.executor.answer("ICmtStaking", "validator", (SENDER, b"\x12" * 32, *VALIDATOR))
        self.executor.answer("ICmtStaking", "profile", ("alice", "", "", "", ""))
        self.pool = FakePool()
        self.info = FakeInfo()
        self.clock = ManualClock(1_700_000_000_000)
        self.server = build_server(
            self.config,
            RpcPorts(
                chain=self.chain,
                executor=self.executor,
                pool=self.pool,
                info=self.info,
                events=self.pool.events,
                clock=self.clock,
                id_secret=b"\x55" * 32,
                observer=options.pop("observer", None),
                pages=OperatorPages(self.chain, self.info, self.clock, FakeMetrics()),
            ),
            **options,
        )
        self.dispatcher = self.server._dispatchers.http
        self.hub = self.server._hub

    def commit(self, transactions=(), outcomes=()):
        """Add a block and tell everybody."""
        block = self.chain.add(transactions, outcomes)
        self.pool.events.publish(BlockCommitted(block, tuple(o.receipt.logs for o in outcomes)))
        return block

    async def send(self, document, **context):
        """Return the parsed answer to a request document."""
        body = document if isinstance(document, bytes) else orjson.dumps(document)
        answer = await self.dispatcher.handle(body, Context(**context))
        return None if answer is None else orjson.loads(answer)

    async def ask(self, method, *params, **context):
        """Return the whole answer to one request."""
        return await self.send({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}, **context)

    async def result(self, method, *params, **context):
        """Return the result of one request that must succeed."""
        answer = await self.ask(method, *params, **context)
        assert "error" not in answer, answer
        return answer["result"]

    async def error(self, method, *params, **context):
        """Return the error of one request that must fail."""
        answer = await self.ask(method, *params, **context)
        assert "result" not in answer, answer
        return answer["error"]

    @asynccontextmanager
    async def serving(self):
        """Run the server with its event pump."""
        await self.server.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                pump = tasks.create_task(self.server.run())
                yield self.server
                pump.cancel()
        finally:
            await self.server.stop()


def hexed(value):
    """Return bytes as DATA."""
    return "0x" + value.hex()


def system_requests(sender):
    """Return a builder's request for each function of the system contracts that writes."""
    words = {"address": sender, "bool": True, "string": "text", "bytes": "0x01", "bytes32": "0x" + "11" * 32}

    def value(parameter):
        kind, inside = parameter["type"], parameter["internalType"]
        if kind == "tuple":
            return {part["name"]: value(part) for part in parameter["components"]}
        if kind.endswith("[]"):
            return [value({**parameter, "type": kind[:-2]})]
        return "Yes" if inside.startswith("enum ") else words.get(kind, "0x1")

    return [
        (
            f"cmt_build{entry['name'][0].upper()}{entry['name'][1:]}",
            [{"from": sender, **{parameter["name"]: value(parameter) for parameter in entry["inputs"]}}],
        )
        for interface in ADDRESSES
        for entry in load_document(interface)["abi"]
        if entry["type"] == "function" and entry["stateMutability"] in ("payable", "nonpayable")
    ]


def valid_requests(node):
    """Return (method, params) pairs that a fresh node answers with a result; every served method at least once."""
    chain = node.chain
    block, legacy = chain.blocks[2], chain.blocks[1].transactions[0]
    last = chain.blocks[5]
    call = {"from": hexed(SENDER), "to": hexed(CONTRACT), "data": "0x01", "value": "0x1", "gas": "0x7530"}
    sender, contract, tx = hexed(SENDER), hexed(CONTRACT), hexed(legacy.hash)
    at_hash = {"blockHash": hexed(block.hash), "requireCanonical": True}
    new = hexed(sign_transaction(9).raw)
    by_block = [
        (f"eth_{name}By{suffix}", [key, *rest])
        for suffix, key in (("Number", "0x2"), ("Hash", hexed(block.hash)))
        for name, rest in (("getBlock", [True]), ("getBlockTransactionCount", []))
    ]
    by_place = [
        (f"eth_get{name}ByBlock{suffix}AndIndex", [key, "0x1"])
        for suffix, key in (("Number", "0x2"), ("Hash", hexed(block.hash)))
        for name in ("Transaction", "RawTransaction", "Uncle")
    ]
    return [
        *by_block,
        *by_place,
        ("eth_getUncleCountByBlockNumber", ["latest"]),
        ("eth_getUncleCountByBlockHash", [hexed(block.hash)]),
        *[
            ("eth_getBlockByNumber", [tag, full])
            for tag in ("earliest", "latest", "0x3", "0x4")
            for full in (True, False)
        ],
        ("eth_getBlockByNumber", ["pending", True]),
        ("eth_getBlockByNumber", ["pending", False]),
        ("eth_getBlockByNumber", ["0x64", True]),
        ("eth_getBlockByHash", ["0x" + "00" * 32, False]),
        *[("eth_getBlockReceipts", [key]) for key in ("0x0", "0x1", "0x2", "0x4", "0x5", "0x64", hexed(block.hash))],
        ("eth_getBlockReceipts", [at_hash]),
        *[("eth_getTransactionByHash", [hexed(t.hash)]) for b in chain.blocks.values() for t in b.transactions],
        *[("eth_getTransactionReceipt", [hexed(t.hash)]) for b in chain.blocks.values() for t in b.transactions],
        ("eth_getTransactionByHash", ["0x" + "00" * 32]),
        ("eth_getTransactionReceipt", ["0x" + "00" * 32]),
        ("eth_getTransactionByBlockNumberAndIndex", ["pending", "0x0"]),
        ("eth_getBlockTransactionCountByNumber", ["pending"]),
        *[(f"eth_{name}", []) for name in ("accounts", "baseFee", "blobBaseFee", "blockNumber", "chainId", "syncing")],
        *[(f"eth_{name}", []) for name in ("gasPrice", "maxPriorityFeePerGas")],
        *[
            (f"eth_{name}", [sender, key])
            for name in ("getBalance", "getTransactionCount")
            for key in ("latest", "pending", "0x1", at_hash)
        ],
        ("eth_getCode", [contract, "latest"]),
        ("eth_getCode", [sender]),
        ("eth_getStorageAt", [contract, "0x0", "latest"]),
        ("eth_getStorageAt", [sender, "0x" + "00" * 32, "latest"]),
        ("eth_getStorageValues", [{contract: ["0x0", "0x1"], sender: ["0x0"]}, "latest"]),
        ("eth_getProof", [contract, ["0x0", "0x" + "00" * 31 + "01", "0x7"], "latest"]),
        ("eth_getProof", [hexed(STRANGER), ["0x0"], at_hash]),
        ("eth_call", [call, "latest"]),
        ("eth_call", [call, "latest", {contract: {"balance": "0x1", "stateDiff": {"0x0": "0x1"}}}, {"number": "0x9"}]),
        ("eth_simulateV1", [{"blockStateCalls": [{"calls": [call]}]}, "latest"]),
        ("eth_estimateGas", [call]),
        ("eth_createAccessList", [call, "latest"]),
        ("eth_fillTransaction", [call]),
        ("eth_fillTransaction", [{**call, "gas": "0x7a121"}]),
        ("eth_fillTransaction", [{**call, "gasPrice": "0x1"}]),
        (
            "eth_fillTransaction",
            [{**call, "gasPrice": "0x1", "accessList": [{"address": contract, "storageKeys": ["0x" + "00" * 32]}]}],
        ),
        (
            "eth_fillTransaction",
            [
                {
                    **call,
                    "authorizationList": [
                        {
                            "chainId": "0x1",
                            "address": contract,
                            "nonce": "0x0",
                            "yParity": "0x0",
                            "r": "0x1",
                            "s": "0x1",
                        }
                    ],
                }
            ],
        ),
        ("eth_sendRawTransactionSync", [hexed(last.transactions[0].raw), "0x64"]),
        *[("eth_getHeaderByNumber", [at]) for at in ("0x2", "latest", "pending", "0x64")],
        ("eth_getHeaderByHash", [hexed(block.hash)]),
        ("eth_getRawTransactionByHash", [tx]),
        ("eth_config", []),
        ("ots_getApiLevel", []),
        ("ots_hasCode", [contract, "latest"]),
        ("erigon_getHeaderByNumber", [5]),
        *[(f"ots_{name}", [tx]) for name in ("getTransactionError", "getInternalOperations", "traceTransaction")],
        ("ots_getBlockDetails", [2]),
        ("ots_getBlockDetailsByHash", [hexed(block.hash)]),
        ("ots_getBlockTransactions", [2, 0, 10]),
        ("ots_searchTransactionsBefore", [sender, 0, 10]),
        ("ots_searchTransactionsAfter", [sender, 0, 10]),
        ("ots_getTransactionBySenderAndNonce", [sender, 0]),
        ("ots_getContractCreator", [contract]),
        ("eth_capabilities", []),
        ("eth_feeHistory", ["0x3", "latest", [10, 50.5, 100]]),
        ("eth_feeHistory", [2, "0x2", []]),
        ("eth_feeHistory", ["0x400", "pending", None]),
        ("eth_sendRawTransaction", [new]),
        ("eth_getLogs", [{"fromBlock": "0x0", "toBlock": "latest"}]),
        ("eth_getLogs", [{"blockHash": hexed(last.hash), "address": contract, "topics": [None, [hexed(TOPIC)]]}]),
        ("eth_newFilter", [{"fromBlock": "0x0", "address": [contract]}]),
        ("eth_newBlockFilter", []),
        ("eth_newPendingTransactionFilter", []),
        ("eth_uninstallFilter", ["0x1"]),
        ("net_version", []),
        ("net_listening", []),
        ("net_peerCount", []),
        ("web3_clientVersion", []),
        ("web3_sha3", ["0x68656c6c6f"]),
        ("admin_nodeInfo", []),
        ("admin_peers", []),
        ("txpool_status", []),
        ("txpool_content", []),
        ("txpool_inspect", []),
        ("txpool_contentFrom", [sender]),
        ("cmt_transactionStatus", [tx]),
        ("cmt_params", []),
        ("cmt_supply", ["latest"]),
        ("cmt_consensusState", []),
        ("cmt_peers", []),
        ("cmt_queryValidators", []),
        ("cmt_queryValidator", [sender, 3]),
        ("cmt_queryDelegator", [sender, "0x3"]),
        ("cmt_queryAwardInfos", [0]),
        ("cmt_queryAbsentValidators", [at_hash]),
        ("cmt_queryParams", [2]),
        ("cmt_queryProposals", ["latest"]),
        *system_requests(sender),
        ("rpc_modules", []),
        ("rpc_discover", []),
        *[(f"debug_getRaw{name}", ["0x2"]) for name in ("Header", "Block", "Receipts")],
        ("debug_getRawTransaction", [tx]),
        ("debug_traceTransaction", [tx, {"tracer": "callTracer", "tracerConfig": {"withLog": True}, "timeout": "5s"}]),
        ("debug_traceBlockByNumber", ["0x2", {"enableMemory": True, "limit": 5}]),
        ("debug_traceBlockByHash", [hexed(block.hash)]),
        ("debug_traceBlock", [hexed(rlp.encode_list((block.header.encode(), b"\xc0")))]),
        (
            "debug_traceCall",
            [call, "latest", {"tracer": "prestateTracer", "stateOverrides": {contract: {"nonce": "0x1"}}}],
        ),
        ("debug_storageRangeAt", [hexed(block.hash), 0, contract, "0x", 10]),
        ("debug_getBadBlocks", []),
    ]
