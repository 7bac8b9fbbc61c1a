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
from cybermiles.execution.validation import check_block
from cybermiles.state.trie import TrieStateReader
from cybermiles.system.registry import native_contracts
from cybermiles.types.abci import PrepareRequest
from cybermiles.types.commit import EMPTY_COMMIT, Commit
from cybermiles.types.evidence import DuplicateVote, decode_evidence, duplicate_vote
from cybermiles.types.primitives import GWEI, Address
from cybermiles.types.rotation import first_rotation
from cybermiles.types.transaction_codec import UnsignedTransaction
from cybermiles.types.validator import Validator
from cybermiles.types.vote import Vote, VoteType, vote_sign_bytes
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.rules import ChainRules, Fork

DEVNET_ID = 181818
KEYS = [(10_000 + number).to_bytes(32) for number in range(300)]
"""Private keys of test accounts."""
ADDRESSES = [Address(address_of(key)) for key in KEYS]
VALIDATOR_KEY = bytes(range(32))
VALIDATOR_KEYS = [VALIDATOR_KEY, *(bytes([number]) * 32 for number in range(1, 24))]
"""Consensus keys of test validators; the operator of each is the account of the same number."""
_KEY_OF = {ed25519.public_key(key): key for key in VALIDATOR_KEYS}


def validator(number, power=1) -> Validator:
    """Return a test validator."""
    return Validator(ed25519.public_key(VALIDATOR_KEYS[number]), ADDRESSES[number], power)


def key_of(member: Validator) -> bytes:
    """Return the consensus key of a test validator."""
    return _KEY_OF[member.consensus_key]


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


def genesis_document(params=None, accounts=ADDRESSES, powers=(1,)) -> GenesisDocument:
    """Return the devnet's document with test validators of these powers and funded test accounts."""
    template = network_genesis("devnet")
    first = template.allocations[0]
    share = 1_000 * 10**18
    allocations = tuple(type(first)(f"test {i}", a, share) for i, a in enumerate(accounts))
    rest = template.supply - share * len(accounts)
    allocations += (type(first)("rest", Address(b"\x99" * 20), rest),)
    document = template.with_validators(
        [GenesisValidator("test", validator(number, power)) for number, power in enumerate(powers)]
    )
    return GenesisDocument(
        **{
            name: getattr(document, name)
            for name in ("name", "chain_id", "timestamp", "allow_unprotected", "supply", "validators", "vesting")
        },
        params=params or ChainParams(),
        allocations=allocations,
    )


def signed_vote(chain, member, height, block_hash, *, type_=VoteType.PRECOMMIT, round_=0) -> Vote:
    """Return a test validator's vote on `chain`, an `execution.parent.Chain`."""
    message = vote_sign_bytes(chain.chain_id, chain.genesis_hash, type_, height, round_, block_hash)
    return Vote(type_, height, round_, block_hash, member.address, ed25519.sign(key_of(member), message))


def double_vote(
    chain, member, height, *, type_=VoteType.PREVOTE, round_=0, hashes=(None, b"\x07" * 32)
) -> DuplicateVote:
    """Return evidence against a test validator."""
    return duplicate_vote(
        *(signed_vote(chain, member, height, block_hash, type_=type_, round_=round_) for block_hash in hashes)
    )


def commit_of(chain, members, height, block_hash, *, absent=(), round_=0) -> Commit:
    """Return the commit of everybody in the set but those at the positions in `absent`."""
    signatures = [
        signed_vote(chain, member, height, block_hash, round_=round_).signature for member in members.validators
    ]
    return Commit(
        height, round_, block_hash, tuple(None if i in absent else signature for i, signature in enumerate(signatures))
    )


class MemoryChain:
    """A chain without disk: builds blocks, checks them as a validator does, and keeps every state."""

    def __init__(self, params=None, accounts=ADDRESSES, *, powers=(1,), election=None, document=None):
        self.document = document or genesis_document(params, accounts, powers)
        genesis = genesis_block(self.document)
        self.chain = Chain(
            chain_id=self.document.chain_id,
            genesis_hash=self.document.hash,
            allow_unprotected=self.document.allow_unprotected,
            backend=PyEvmBackend(
                ChainRules(fork=Fork.OSAKA, chain_id=self.document.chain_id, allow_unsigned=self.document.dev),
                native_contracts(dev=self.document.dev),
            ),
            election=election,
        )
        self.nodes = dict(genesis.root_update.nodes)
        self.codes = dict(genesis.changes.codes)
        self.headers = [genesis.header]
        first = first_rotation(self.document.validator_set)
        self.rotations = {1: first, 2: first.following(None)}
        self.evidence = set()
        self.minted = self.burnt = 0

    def node(self, owner, node_hash):
        return self.nodes[owner, node_hash]

    def code(self, code_hash):
        return self.codes[code_hash]

    def validators(self, height):
        return self.rotations[height].validators if height in self.rotations else None

    def timestamp(self, height):
        return self.headers[height].timestamp if 0 <= height < len(self.headers) else None

    def has_evidence(self, evidence_hash):
        return evidence_hash in self.evidence

    @property
    def head(self):
        return self.headers[-1]

    @property
    def state(self):
        return TrieStateReader(self, self, self.head.state_root)

    @property
    def parent(self) -> Parent:
        return Parent(
            header=self.head,
            state=self.state,
            nodes=self,
            params=self.document.params,
            history=self,
            validators=self.validators(self.head.height + 1),
            next_validators=self.validators(self.head.height + 2),
        )

    def last_commit(self, absent=()) -> Commit:
        height = self.head.height
        return (
            commit_of(self.chain, self.validators(height), height, self.head.hash, absent=absent)
            if height
            else EMPTY_COMMIT
        )

    def request(self, seconds=1, *, absent=(), evidence=()) -> PrepareRequest:
        return PrepareRequest(
            height=self.head.height + 1,
            timestamp=self.head.timestamp + seconds,
            proposer=self.rotations[self.head.height + 1].proposer.address,
            last_commit=self.last_commit(absent),
            evidence=tuple(evidence),
        )

    def build(self, transactions=(), seconds=1, **more):
        """Return (block, outcome) of a block that tries these transactions."""
        return build_block(self.chain, self.parent, self.request(seconds, **more), transactions)

    def advance(self, transactions=(), seconds=1, **more):
        """Build a block, check it as another validator would, append it; return (block, outcome)."""
        block, outcome = self.build(transactions, seconds, **more)
        if check_block(self.chain, self.parent, block) != outcome:
            raise AssertionError("the builder and the validator disagree")
        self.nodes |= outcome.root_update.nodes
        self.codes |= outcome.changes.codes
        self.headers.append(outcome.header)
        self.rotations[block.height + 2] = self.rotations[block.height + 1].following(outcome.validator_updates)
        self.evidence |= {decode_evidence(raw).hash for raw in block.consensus.evidence}
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
