"""The load of `bench_peers`: the same bytes for every node, signed once.

Every chain of the comparison has this project's devnet chain id and holds the same 200 senders, fresh, so that a transaction signed here is
valid on each. Transactions are of the oldest kind with a chain id (EIP-155), because Polygon Edge v0.9.0 gives newer ones a hash that
is not Ethereum's, by which no receipt can be asked for. The token is tests/contracts/LoyaltyToken.sol compiled for London (`evmVersion: "london"`, otherwise as
tests/contracts/compile.mjs does): the oldest rules in the comparison are London's, which lack PUSH0.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from eth_abi import encode

from benchmarks.load import CHAIN_ID, accounts, private_key
from benchmarks.workload import SENDERS
from cybermiles.crypto.hashing import keccak256
from cybermiles.types.primitives import GWEI
from cybermiles.types.transaction import LEGACY
from cybermiles.types.transaction_codec import UnsignedTransaction
from cybermiles.vm.pyevm.backend import contract_address

TOKEN = Path(__file__).parent / "peers_erc20_london.json"
GAS_PRICE = 10 * GWEI
"""Above any base fee here: each chain begins at 1 gwei or less, and no block is half full."""
RECIPIENTS = 2_000
CHECKED = RECIPIENTS - 1
"""The recipient whose balance is compared at the end: it is no sender, and nobody else gives it anything."""


@dataclass(frozen=True)
class Load:
    """Signed transactions in the order of sending, and what they leave behind."""

    name: str
    before: list
    """Sent first and waited for: what the load needs."""
    warm_up: list
    """Sent before the clock starts, in the same way as what is measured."""
    measured: list
    question: tuple
    """JSON-RPC method and parameters that tell what `CHECKED` has received."""
    answer: int

    @property
    def last_of_each(self):
        """Return each sender's last transaction."""
        return self.measured[-SENDERS:]


def signed(sender, nonce, to, data=b"", gas=21_000, value=0):
    return UnsignedTransaction(
        type=LEGACY, chain_id=CHAIN_ID, nonce=nonce, max_fee_per_gas=GAS_PRICE, max_priority_fee_per_gas=GAS_PRICE,
        gas_limit=gas, to=to, value=value, data=data,
    ).sign(private_key(sender))  # fmt: skip


def received(count):
    """Return how many of so many transfers go to the checked recipient."""
    return sum(recipient(i) == CHECKED for i in range(count))


def recipient(i):
    return i * 7 % RECIPIENTS


def plain_transfers(warm_up, count):
    """Return transfers of one wei. Their senders' nonces begin at 0."""
    to = accounts(RECIPIENTS)
    all_of_them = [signed(i % SENDERS, i // SENDERS, to[recipient(i)], value=1) for i in range(warm_up + count)]
    question = ("eth_getBalance", "0x" + to[CHECKED].hex(), "latest")
    return Load("transfers", [], all_of_them[:warm_up], all_of_them[warm_up:], question, received(warm_up + count))


def token_transfers(warm_up, count, earlier):
    """Return transfers of one unit of a token, after its creation and a share for each sender; `earlier` went before."""
    code = bytes.fromhex(json.loads(TOKEN.read_text())["bytecode"][2:])
    to = accounts(RECIPIENTS)
    nonces = [(earlier + SENDERS - 1 - sender) // SENDERS for sender in range(SENDERS)]
    token = contract_address(to[0], nonces[0])
    selector = keccak256(b"transfer(address,uint256)")[:4]

    def move(sender, nonce, receiver, amount):
        return signed(
            sender, nonce, token, selector + encode(["address", "uint256"], ["0x" + receiver.hex(), amount]), 80_000
        )

    construction = encode(["string", "string", "uint256"], ["T", "T", 10**27])
    deploy = signed(0, nonces[0], None, code + construction, 2_000_000)
    shares = [move(0, nonces[0] + 1 + i, address, 10**22) for i, address in enumerate(to[1:SENDERS])]
    nonces[0] += SENDERS
    all_of_them = [
        move(i % SENDERS, nonces[i % SENDERS] + i // SENDERS, to[recipient(i)], 1) for i in range(warm_up + count)
    ]
    balance = keccak256(b"balanceOf(address)")[:4] + encode(["address"], ["0x" + to[CHECKED].hex()])
    question = ("eth_call", {"to": "0x" + token.hex(), "data": "0x" + balance.hex()}, "latest")
    return Load(
        "ERC-20 transfers", [deploy, *shares], all_of_them[:warm_up], all_of_them[warm_up:], question,
        received(warm_up + count),
    )  # fmt: skip


def loads(warm_up, count):
    """Return both loads in the order in which they must be sent."""
    return plain_transfers(warm_up, count), token_transfers(warm_up, count, warm_up + count)
