"""Things tests build: keys, signed transactions, and a whole chain in memory."""

from __future__ import annotations

from cybermiles.chain.genesis import GenesisDocument, GenesisValidator
from cybermiles.chain.networks import network_genesis
from cybermiles.chain.params import ChainParams
from cybermiles.crypto import ed25519
from cybermiles.crypto.secp256k1 import address_of
from cybermiles.execution.builder import build_block
from cybermiles.execution.genesis import genesis_block
from cybermiles.execution.parent import Chain, Parent
from cybermiles.execution.validation import apply_block
from cybermiles.state.trie import TrieStateReader
from cybermiles.types.abci import PrepareRequest
from cybermiles.types.commit import EMPTY_COMMIT, Commit
from cybermiles.types.primitives import GWEI, Address
from cybermiles.types.transaction_codec import UnsignedTransaction
from cybermiles.types.validator import Validator
from cybermiles.types.vote import VoteType, vote_sign_bytes
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.rules import ChainRules, Fork

DEVNET_ID = 181818
KEYS = [(10_000 + number).to_bytes(32) for number in range(300)]
"""Private keys of test accounts."""
ADDRESSES = [Address(address_of(key)) for key in KEYS]
VALIDATOR_KEY = bytes(range(32))


def sign(key, nonce, *, to=ADDRESSES[-1], value=0, gas=21_000, price=0, tip=None, data=b"", **more):
    """Return a signed type 2 transaction (price is the cap; the tip equals it)."""
    fields = {
        "chain_id": DEVNET_ID,
        "nonce": nonce,
        "max_fee_per_gas": price,
        "max_priority_fee_per_gas": price if tip is None else tip,
        "gas_limit": gas,
        "to": to,
        "value": value,
        "data": data,
    } | more
    return UnsignedTransaction(**fields).sign(key)


def genesis_document(params=None, accounts=ADDRESSES) -> GenesisDocument:
    """Return the devnet's document with the test validator and funded test accounts."""
    template = network_genesis("devnet")
    validator = Validator(ed25519.public_key(VALIDATOR_KEY), ADDRESSES[0], 1)
    first = template.allocations[0]
    share = 1_000 * 10**18
    allocations = tuple(type(first)(f"test {i}", a, share) for i, a in enumerate(accounts))
    rest = template.supply - share * len(accounts)
    allocations += (type(first)("rest", Address(b"\x99" * 20), rest),)
    document = template.with_validators([GenesisValidator("test", validator)])
    return GenesisDocument(
        **{
            name: getattr(document, name)
            for name in ("name", "chain_id", "timestamp", "allow_unprotected", "supply", "validators", "vesting")
        },
        params=params or ChainParams(),
        allocations=allocations,
    )


class MemoryChain:
    """A chain without disk: builds blocks, checks them as a validator does, and keeps every state."""

    def __init__(self, params=None, accounts=ADDRESSES):
        self.document = genesis_document(params, accounts)
        genesis = genesis_block(self.document)
        self.chain = Chain(
            chain_id=self.document.chain_id,
            genesis_hash=self.document.hash,
            allow_unprotected=self.document.allow_unprotected,
            issuance=self.document.issuance,
            backend=PyEvmBackend(ChainRules(fork=Fork.OSAKA, chain_id=self.document.chain_id)),
        )
        self.nodes = dict(genesis.root_update.nodes)
        self.codes = dict(genesis.changes.codes)
        self.headers = [genesis.header]
        self.minted = self.burnt = 0

    def node(self, owner, node_hash):
        return self.nodes[owner, node_hash]

    def code(self, code_hash):
        return self.codes[code_hash]

    @property
    def head(self):
        return self.headers[-1]

    @property
    def state(self):
        return TrieStateReader(self, self, self.head.state_root)

    @property
    def parent(self) -> Parent:
        validators = self.document.validator_set
        return Parent(
            header=self.head,
            state=self.state,
            nodes=self,
            params=self.document.params,
            validators=validators,
            next_validators=validators,
        )

    def last_commit(self) -> Commit:
        if self.head.height == 0:
            return EMPTY_COMMIT
        message = vote_sign_bytes(
            self.chain.chain_id, self.chain.genesis_hash, VoteType.PRECOMMIT, self.head.height, 0, self.head.hash
        )
        return Commit(self.head.height, 0, self.head.hash, (ed25519.sign(VALIDATOR_KEY, message),))

    def request(self, seconds=1) -> PrepareRequest:
        return PrepareRequest(
            height=self.head.height + 1,
            timestamp=self.head.timestamp + seconds,
            proposer=self.document.validator_set.validators[0].address,
            last_commit=self.last_commit(),
        )

    def build(self, transactions=(), seconds=1):
        """Return (block, outcome) of a block that tries these transactions."""
        return build_block(self.chain, self.parent, self.request(seconds), transactions)

    def advance(self, transactions=(), seconds=1):
        """Build a block, check it as another validator would, append it; return (block, outcome)."""
        block, outcome = self.build(transactions, seconds)
        checked = apply_block(self.chain, self.parent, block)
        if checked != outcome:
            raise AssertionError("the builder and the validator disagree")
        self.nodes |= outcome.root_update.nodes
        self.codes |= outcome.changes.codes
        self.headers.append(outcome.header)
        self.minted += outcome.minted
        self.burnt += outcome.burnt
        return block, outcome

    def nonce(self, address):
        account = self.state.account(address)
        return 0 if account is None else account.nonce

    def balance(self, address):
        account = self.state.account(address)
        return 0 if account is None else account.balance


PAID = 2 * GWEI
"""The price floor."""
