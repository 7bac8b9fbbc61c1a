"""A chain that lives through every fork up to Prague, mined by stock py-evm.

Two blocks a fork, with transfers, a creation, storage, logs, block opcodes, self-destruction, nested creation and calls of
precompiles. Before Spurious Dragon nothing leaves an empty account behind (docs/conformance.md says why).
"""

from __future__ import annotations

import json

import rlp as rlp_library
from eth import constants
from eth.chains.base import MiningChain
from eth.consensus.noproof import NoProofConsensus
from eth.db.atomic import AtomicDB
from eth.vm.forks import (
    BerlinVM,
    ByzantiumVM,
    CancunVM,
    ConstantinopleVM,
    FrontierVM,
    HomesteadVM,
    IstanbulVM,
    LondonVM,
    ParisVM,
    PetersburgVM,
    PragueVM,
    ShanghaiVM,
    SpuriousDragonVM,
    TangerineWhistleVM,
)
from eth.vm.forks.shanghai.withdrawals import Withdrawal

from cybermiles.crypto.secp256k1 import address_of
from cybermiles.types.primitives import GWEI, Address
from cybermiles.types.transaction import ACCESS_LIST, DYNAMIC_FEE, LEGACY
from cybermiles.types.transaction_codec import UnsignedTransaction
from cybermiles.vm.ethereum import EthereumFork
from cybermiles.vm.pyevm.backend import contract_address

FORKS = (
    ("FRONTIER", FrontierVM, None),
    ("HOMESTEAD", HomesteadVM, "homesteadBlock"),
    ("TANGERINE_WHISTLE", TangerineWhistleVM, "eip150Block"),
    ("SPURIOUS_DRAGON", SpuriousDragonVM, "eip158Block"),
    ("BYZANTIUM", ByzantiumVM, "byzantiumBlock"),
    ("CONSTANTINOPLE", ConstantinopleVM, "constantinopleBlock"),
    ("PETERSBURG", PetersburgVM, "petersburgBlock"),
    ("ISTANBUL", IstanbulVM, "istanbulBlock"),
    ("BERLIN", BerlinVM, "berlinBlock"),
    ("LONDON", LondonVM, "londonBlock"),
    ("PARIS", ParisVM, None),
    ("SHANGHAI", ShanghaiVM, "shanghaiTime"),
    ("CANCUN", CancunVM, "cancunTime"),
    ("PRAGUE", PragueVM, "pragueTime"),
)
BLOCKS_PER_FORK = 2
OMMER_HEIGHT = 10
"""The block with an ommer, under Byzantium."""
SECONDS = 13
KEY = b"\x0b" * 32
SENDER = Address(address_of(KEY))
COINBASE = Address(b"\xcb" * 20)
OMMER_COINBASE = Address(b"\xcc" * 20)
RECIPIENT = Address(b"\x2e" * 20)
STORE = "6020356000355560aa60005260076020600 0a100".replace(" ", "")
"""Stores word 1 at slot word 0, and logs."""
LOOK = "4360005542600155446002554560035541600455600143034060055500"
"""Stores NUMBER, TIMESTAMP, DIFFICULTY, GASLIMIT, COINBASE and the parent's BLOCKHASH."""
DIE = "33ff"
SPREAD = "600060006000f050303150303b506000600060006000600060046161a8f15000"
"""Creates an empty contract, looks at its own balance, calls the identity precompile."""
FAIL = "60006000fe"


def init_code(runtime):
    return bytes.fromhex(f"60{len(runtime) // 2:02x}80600b6000396000f3{runtime}")


class Wallet:
    """Signs the next transaction in the newest type the fork has."""

    def __init__(self):
        self.nonce = 0

    def sign(self, fork, to, data=b"", *, gas=300_000, value=0):
        kind = LEGACY if fork < EthereumFork.BERLIN else ACCESS_LIST if fork < EthereumFork.LONDON else DYNAMIC_FEE
        chain_id = None if fork < EthereumFork.SPURIOUS_DRAGON else 1
        access = ((RECIPIENT, (1, 2)),) if kind != LEGACY else ()
        tip = 3 if kind == DYNAMIC_FEE else 10 * GWEI
        signed = UnsignedTransaction(
            type=kind, chain_id=chain_id, nonce=self.nonce, max_fee_per_gas=10 * GWEI, max_priority_fee_per_gas=tip,
            gas_limit=gas, to=to, value=value, data=data, access_list=access,
        ).sign(KEY)  # fmt: skip
        self.nonce += 1
        return signed.raw


def word(*values):
    return b"".join(value.to_bytes(32) for value in values)


def transactions(wallet, fork, contracts, turn):
    """Return a block's raw transactions; `contracts` are deployed by the first block."""
    if not contracts:
        runtimes = [STORE, LOOK, SPREAD, FAIL]
        raws = [wallet.sign(fork, None, init_code(runtime)) for runtime in runtimes]
        contracts.extend(contract_address(SENDER, nonce) for nonce in range(len(runtimes)))
        return raws
    store, look, spread, fail = contracts
    raws = [
        wallet.sign(fork, RECIPIENT, value=1 + turn),
        wallet.sign(fork, store, word(turn, turn)),
        wallet.sign(fork, store, word(turn, 0)),
        wallet.sign(fork, store, word(1, turn)),
        wallet.sign(fork, look),
        wallet.sign(fork, fail, word(1)),
        wallet.sign(fork, None, init_code(DIE), value=5),
    ]
    if fork >= EthereumFork.SPURIOUS_DRAGON:
        raws.append(wallet.sign(fork, spread))
        raws.append(wallet.sign(fork, None, bytes.fromhex("33ff"), value=7))
    return raws


def mine():
    """Return (genesis file, chain file) of the chain, and its blocks."""
    configuration = tuple(
        (index * BLOCKS_PER_FORK + (1 if index else 0), vm.configure(consensus_class=NoProofConsensus))
        for index, (_, vm, _) in enumerate(FORKS)
    )
    chain_class = MiningChain.configure(__name__="Mined", vm_configuration=configuration, chain_id=1)
    params = {
        "difficulty": 131_072, "gas_limit": 10_000_000, "timestamp": 0, "coinbase": constants.ZERO_ADDRESS,
        "extra_data": b"", "nonce": bytes(8), "mix_hash": constants.ZERO_HASH32,
    }  # fmt: skip
    state = {SENDER: {"balance": 10**24, "nonce": 0, "code": b"", "storage": {}}}
    chain = chain_class.from_genesis(AtomicDB(), params, state)
    wallet, contracts, blocks = Wallet(), [], []
    for height in range(1, len(FORKS) * BLOCKS_PER_FORK + 1):
        fork = EthereumFork[FORKS[(height - 1) // BLOCKS_PER_FORK][0]]
        raws = transactions(wallet, fork, contracts, height)
        builder = chain.get_vm().get_transaction_builder()
        chain.header = chain.header.copy(timestamp=height * SECONDS)
        options = {"coinbase": COINBASE}
        if fork >= EthereumFork.SHANGHAI:
            options["withdrawals"] = [Withdrawal(height, 3, RECIPIENT, 11), Withdrawal(height + 1, 4, b"\x99" * 20, 0)]
        if height == OMMER_HEIGHT:
            options["uncles"] = [ommer_of(chain, height)]
        imported, _, _ = chain.mine_all([builder.decode(raw) for raw in raws], **options)
        blocks.append(imported.imported_block)
    return genesis_file(), b"".join(map(rlp_library.encode, blocks)), blocks


def ommer_of(chain, height):
    """Return a sibling of the block before `height`."""
    grandparent = chain.get_canonical_block_header_by_number(height - 2)
    sibling = chain.create_header_from_parent(grandparent)
    return sibling.copy(coinbase=OMMER_COINBASE, timestamp=(height - 1) * SECONDS, extra_data=b"ommer")


def genesis_file():
    config = {"chainId": 1, "terminalTotalDifficulty": 1}
    for index, (_, _, key) in enumerate(FORKS):
        first = index * BLOCKS_PER_FORK + 1
        if key is not None:
            config[key] = first * SECONDS if key.endswith("Time") else first
    document = {
        "config": config, "difficulty": "0x20000", "gasLimit": "10000000", "timestamp": "0x0", "nonce": "0x0",
        "alloc": {SENDER.hex(): {"balance": str(10**24)}},
    }  # fmt: skip
    return json.dumps(document).encode()
