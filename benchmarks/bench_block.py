"""Block execution against stock py-evm: the same transactions on the same state, both giving the same roots.

Stock imports the block with `Chain.import_block` (Shanghai, the newest fork without per-block system calls); ours decodes the
transactions from their bytes, recovers senders, executes them under plain Ethereum's rules, and makes state, transaction and
receipt roots. Both start from wire objects without cached senders.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from eth import constants
from eth.chains.base import MiningChain
from eth.consensus.noproof import NoProofConsensus
from eth.db.atomic import AtomicDB
from eth.vm.forks.shanghai import ShanghaiVM
from eth_abi import encode

from benchmarks.load import accounts, private_key
from cybermiles.crypto.hashing import keccak256
from cybermiles.state.reader import NoState
from cybermiles.state.trie import TrieStateReader, ordered_root, update_root
from cybermiles.state.world import WorldState
from cybermiles.types.primitives import EMPTY_TRIE_ROOT, GWEI, Address, Hash32
from cybermiles.types.receipt import Receipt, logs_bloom
from cybermiles.types.transaction_codec import UnsignedTransaction, decode_transaction
from cybermiles.vm.backend import BlockContext
from cybermiles.vm.pyevm.backend import PyEvmBackend, contract_address
from cybermiles.vm.pyevm.startup import prepare_runtime
from cybermiles.vm.rules import Fork, ethereum_rules

GAS_LIMIT = 100_000_000
COINBASE = Address(b"\xcb" * 20)
TOKEN = Path(__file__).parent / "erc20_shanghai.json"
"""tests/contracts/LoyaltyToken.sol compiled for the Shanghai rules that stock runs under."""


class MemoryTrie:
    """Nodes and codes in dictionaries: the store both sides' tries have in this benchmark."""

    def __init__(self):
        self.nodes, self.codes, self.root = {}, {}, EMPTY_TRIE_ROOT

    def node(self, owner, node_hash):
        return self.nodes[owner, node_hash]

    def code(self, code_hash):
        return self.codes[code_hash]

    def apply(self, world, reader):
        changes = world.changes()
        update = update_root(self, reader, self.root, changes)
        self.nodes |= update.nodes
        self.codes |= changes.codes
        self.root = update.root

    def reader(self):
        return TrieStateReader(self, self, self.root)


def sign(sender, nonce, to, data=b"", gas=21_000, value=0):
    return UnsignedTransaction(
        type=0, chain_id=1, nonce=nonce, max_fee_per_gas=10 * GWEI, max_priority_fee_per_gas=10 * GWEI,
        gas_limit=gas, to=to, value=value, data=data,
    ).sign(private_key(sender))  # fmt: skip


def stock_chain(funded):
    """Return a stock chain whose genesis funds the accounts."""
    chain_class = MiningChain.configure(
        __name__="StockChain",
        vm_configuration=((0, ShanghaiVM.configure(consensus_class=NoProofConsensus)),),
        chain_id=1,
    )
    params = {
        "difficulty": 0, "gas_limit": GAS_LIMIT, "timestamp": 1, "coinbase": constants.ZERO_ADDRESS,
        "extra_data": b"", "nonce": bytes(8), "mix_hash": constants.ZERO_HASH32,
    }  # fmt: skip
    state = {a: {"balance": 10**24, "nonce": 0, "code": b"", "storage": {}} for a in funded}
    return chain_class.from_genesis(AtomicDB(), params, state)


def our_state(funded):
    """Return the same genesis state as a trie of ours."""
    trie = MemoryTrie()
    world = WorldState(NoState())
    world.begin_transaction()
    for address in funded:
        world.set_balance(address, 10**24)
    world.end_transaction()
    trie.apply(world, NoState())
    return trie


def run_ours(backend, trie, header, raws):
    """Execute a block from wire bytes and return (state, transactions, receipts) roots."""
    reader = trie.reader()
    world = WorldState(reader)
    context = BlockContext(
        height=header.block_number, timestamp=header.timestamp, coinbase=Address(header.coinbase),
        gas_limit=header.gas_limit, prev_randao=Hash32(header.mix_hash), base_fee=header.base_fee_per_gas,
        fee_recipient=Address(header.coinbase), block_hash=lambda _height: None,
    )  # fmt: skip
    receipts, cumulative = [], 0
    for raw in raws:
        transaction = decode_transaction(raw)
        result = backend.execute_transaction(
            world, context, transaction,
            gas_price=transaction.effective_gas_price(context.base_fee), compute_units=None,
        )  # fmt: skip
        cumulative += result.gas_used
        receipts.append(
            Receipt(transaction.type, result.failure is None, cumulative, result.logs, logs_bloom(result.logs)).encode()
        )
    transactions_root, receipts_root = ordered_root(raws), ordered_root(receipts)
    trie.apply(world, reader)
    return trie.root, transactions_root, receipts_root


def compare(name, blocks, funded):
    """Import the blocks on both sides, check the roots, print µs per transaction and the ratio of the last block."""
    miner, stock = stock_chain(funded), stock_chain(funded)
    trie, backend = our_state(funded), PyEvmBackend(ethereum_rules(Fork.CANCUN, 1))
    assert trie.root == stock.get_canonical_head().state_root
    for transactions in blocks:
        builder = miner.get_vm().get_transaction_builder()
        decoded = [builder.decode(tx.raw) for tx in transactions]
        imported, _, _ = miner.mine_all(decoded, coinbase=COINBASE)
        block = imported.imported_block
        fresh = type(block)(block.header, [builder.decode(tx.raw) for tx in transactions], [], [])
        began = time.process_time()
        stock.import_block(fresh)
        stock_seconds = time.process_time() - began
        raws = [bytes(tx.raw) for tx in transactions]
        began = time.process_time()
        roots = run_ours(backend, trie, block.header, raws)
        our_seconds = time.process_time() - began
        assert roots == (block.header.state_root, block.header.transaction_root, block.header.receipt_root)
    count = len(blocks[-1])
    return {
        "case": name,
        "transactions": count,
        "stock_us_per_tx": round(stock_seconds / count * 1e6),
        "ours_us_per_tx": round(our_seconds / count * 1e6),
        "ratio": round(stock_seconds / our_seconds, 1),
    }


def plain_transfers(count=1_000, senders=500):
    funded = accounts(senders)
    recipients = accounts(2_000)
    block = [sign(i % senders, i // senders, recipients[i * 7 % 2_000], value=1) for i in range(count)]
    return compare("plain transfers", [block], funded)


def erc20_transfers(count=500, senders=100):
    funded = accounts(senders)
    code = bytes.fromhex(json.loads(TOKEN.read_text())["bytecode"][2:])
    deploy = sign(0, 0, None, code + encode(["string", "string", "uint256"], ["T", "T", 10**27]), gas=2_000_000)
    token = contract_address(funded[0], 0)
    selector = keccak256(b"transfer(address,uint256)")[:4]

    def call(sender, nonce, to, amount):
        return sign(
            sender, nonce, token, selector + encode(["address", "uint256"], ["0x" + to.hex(), amount]), gas=100_000
        )

    spread = [call(0, 1 + n, funded[n + 1], 10**20) for n in range(senders - 1)]
    nonces = [0] * senders
    nonces[0] = senders
    block = []
    for i in range(count):
        sender = i % senders
        block.append(
            call(sender, nonces[sender], accounts(300)[i * 7 % 300] if i < 300 else funded[(i * 7) % senders], 5)
        )
        nonces[sender] += 1
    return compare("ERC-20 transfers", [[deploy], spread, block], funded)


def main():
    """Print each case three times: read the medians of the ratios."""
    prepare_runtime()
    for case in (plain_transfers, erc20_transfers):
        for _ in range(3):
            print(json.dumps(case()))


if __name__ == "__main__":
    main()
