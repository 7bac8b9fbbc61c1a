"""Random transactions around plain transfers: mostly valid ones without code to run, and everything that is next to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.crypto.hashing import keccak256
from cybermiles.crypto.secp256k1 import sign
from cybermiles.types import rlp
from cybermiles.types.primitives import Address, Hash32
from cybermiles.types.transaction import ACCESS_LIST, BLOB, DYNAMIC_FEE, LEGACY, SET_CODE, Authorization, Transaction
from cybermiles.types.transaction_codec import UnsignedTransaction
from cybermiles.vm.pyevm.backend import contract_address
from cybermiles.vm.rules import Fork
from cybermiles.vm.validity import MAX_TRANSACTION_GAS, floor_gas, intrinsic_gas
from tests.factories import ADDRESSES, DEVNET_ID
from tests.fuzz.transfer_stage import (
    ABSENT,
    CONTRACTS,
    DELEGATED,
    EMPTY,
    KEY_OF,
    PEOPLE,
    POOR,
    PRECOMPILES,
    RICH,
    SPONSORED,
    SYSTEM,
)

if TYPE_CHECKING:
    from random import Random

    from cybermiles.state.world import WorldState

U64, U256 = 2**64 - 1, 2**256 - 1
DELEGATES = tuple(ADDRESSES[number] for number in DELEGATED)
PAID_FOR = tuple(ADDRESSES[number] for number in SPONSORED)
INITCODES = (b"", bytes.fromhex("5f5f5360015ff3"), bytes.fromhex("5f5ffd"))
"""Makes an account with a nonce only; with the code STOP; fails."""


class TransferCases:
    """One block's transactions. Looks at the state it is given, so that balances and nonces are hit exactly."""

    def __init__(self, rng: Random, floor_price: int, *, blobs: bool) -> None:
        self._rng = rng
        self._floor_price = floor_price
        self._blobs = blobs
        self._regulars = [ADDRESSES[number] for number in rng.sample(RICH, rng.randint(1, 5))]
        self._seen = [ABSENT]
        """Accounts that were absent when the block began."""

    def next(self, world: WorldState, gas_left: int, coinbase: Address) -> Transaction:
        """Return a transaction for `world`, of whose block so much gas is left."""
        rng = self._rng
        sender = self._sender(coinbase)
        kind = rng.choices((DYNAMIC_FEE, LEGACY, ACCESS_LIST, SET_CODE, BLOB), (50, 25, 12, 3, 4 * self._blobs))[0]
        to = self._recipient(sender, coinbase, world)
        if kind in (SET_CODE, BLOB) and to is None:
            to = ABSENT
        if to is None:
            data = rng.choice(INITCODES)
        else:
            data = b"" if rng.random() < 0.94 else self._data()
        has_list = kind != LEGACY and rng.random() < (0.5 if kind == ACCESS_LIST else 0.08)
        access_list = self._access_list(sender, to) if has_list else ()
        authorizations = tuple(self._authorizations(world)) if kind == SET_CODE else ()
        gas = self._gas(data, to, access_list, len(authorizations), gas_left)
        cap = self._price()
        tip = cap if kind in (LEGACY, ACCESS_LIST) else self._tip(cap)
        fields = {
            "type": kind, "chain_id": self._chain_id(kind), "nonce": self._nonce(world.nonce(sender)),
            "max_fee_per_gas": cap, "max_priority_fee_per_gas": tip, "gas_limit": gas, "to": to,
            "value": self._value(world.balance(sender), gas * cap), "data": data, "access_list": access_list,
        }  # fmt: skip
        if kind == BLOB:
            return self._blob(fields, sender)
        unsigned = UnsignedTransaction(**fields, authorizations=authorizations)
        if kind == DYNAMIC_FEE and rng.random() < 0.005:
            return unsigned.claim(sender)
        return unsigned.sign(KEY_OF[sender])

    # Who

    def _sender(self, coinbase: Address) -> Address:
        chance = self._rng.random()
        if chance < 0.82:
            return self._rng.choice(self._regulars)
        if chance < 0.86 and coinbase in KEY_OF:
            return coinbase
        if chance < 0.92:
            return ADDRESSES[self._rng.choice(POOR)]
        return ADDRESSES[self._rng.randrange(PEOPLE)]

    def _recipient(self, sender: Address, coinbase: Address, world: WorldState) -> Address | None:
        rng = self._rng
        chance = rng.random()
        if chance < 0.3:
            return rng.choice(self._regulars) if rng.random() < 0.3 else ADDRESSES[rng.randrange(PEOPLE)]
        if chance < 0.46:
            self._seen.append(Address(rng.randbytes(20)))
            return self._seen[-1]
        if chance < 0.475:
            self._seen.append(contract_address(sender, world.nonce(sender)))
            return None if rng.random() < 0.6 else self._seen[-1]
        pools = (
            (sender,), (sender,), self._seen, self._seen, (coinbase,), (EMPTY,), (ABSENT,), PRECOMPILES, PRECOMPILES, SYSTEM,
            CONTRACTS, DELEGATES, DELEGATES, PAID_FOR, PAID_FOR,
        )  # fmt: skip
        return rng.choice(rng.choice(pools))

    # What

    def _nonce(self, expected: int) -> int:
        rng = self._rng
        if rng.random() < 0.975:
            return min(expected, U64)
        return min(max(rng.choice((expected - 1, expected + 1, 0, U64, U64 - 1)), 0), U64)

    def _chain_id(self, kind: int) -> int | None:
        chance = self._rng.random()
        if chance < 0.99:
            return DEVNET_ID
        return None if kind == LEGACY and chance < 0.995 else DEVNET_ID + 1

    def _data(self) -> bytes:
        rng = self._rng
        return rng.choice((b"\x00", b"\x01", bytes(rng.randrange(1, 200)), rng.randbytes(rng.randrange(1, 200))))

    def _price(self) -> int:
        rng, floor = self._rng, self._floor_price
        if rng.random() < 0.94:
            return rng.choice((0, floor, floor, floor, floor, floor + 1, 2 * floor, 3 * floor, 3 * floor))
        return rng.choice((1, max(floor - 1, 0), 10 * floor + 7, 2**128, U256 // 21_000, U256))

    def _tip(self, cap: int) -> int:
        rng = self._rng
        if rng.random() < 0.8:
            return cap
        return rng.choice((0, min(cap, self._floor_price), cap // 2, min(cap + 1, U256), max(cap - 1, 0)))

    def _gas(self, data: bytes, to: Address | None, access_list, authorizations: int, left: int) -> int:
        rng = self._rng
        needed = intrinsic_gas(data, creates=to is None, access_list=access_list, authorizations=authorizations)
        floor = floor_gas(data, Fork.OSAKA)
        most = max(needed, floor)
        match rng.choices(range(6), (62, 14, 5, 8, 7, 1.5))[0]:
            case 0:
                return most
            case 1:
                return most + rng.randrange(1, 100_000)
            case 2:
                return rng.choice((needed, floor, max(needed - 1, 0), max(floor - 1, 0), most - 1, most + 1))
            case 3:
                return rng.choice((500_000, 500_001, 600_000, 60_000, 60_001, 10**6))
            case 4:
                return max(rng.choice((left, left + 1, left - 1, most)), 0)
        return rng.choice((0, 1, MAX_TRANSACTION_GAS, MAX_TRANSACTION_GAS + 1, 2**63, U64))

    def _value(self, balance: int, cost: int) -> int:
        rng, spare = self._rng, max(balance - cost, 0)
        if rng.random() < 0.9:
            return rng.choice((0, 1, 10**9, rng.randrange(spare // 1_000 + 1)))
        edges = (spare, spare + 1, max(spare - 1, 0), balance, balance + 1, 2**255, U256, rng.randrange(spare + 1))
        return min(rng.choice(edges), U256)

    def _access_list(self, sender: Address, to: Address | None):
        rng = self._rng
        pool = (sender, to or ABSENT, EMPTY, ABSENT, CONTRACTS[4], PRECOMPILES[2])
        return tuple(
            (rng.choice(pool), tuple(rng.choice((0, 1, U256)) for _ in range(rng.randrange(3))))
            for _ in range(rng.randrange(1, 4))
        )

    def _authorizations(self, world: WorldState):
        rng = self._rng
        for _ in range(rng.choice((1, 1, 2))):
            signer = ADDRESSES[rng.randrange(PEOPLE)]
            target = rng.choice((*CONTRACTS, Address(bytes(20)), PRECOMPILES[4], ABSENT, signer))
            nonce = min(world.nonce(signer) + rng.choice((0, 0, 0, 1)), U64)
            chain_id = rng.choice((0, DEVNET_ID, DEVNET_ID, 1))
            fields = (rlp.encode_int(chain_id), rlp.encode_bytes(target), rlp.encode_int(nonce))
            signature = sign(keccak256(b"\x05" + rlp.encode_list(fields)), KEY_OF[signer])
            yield Authorization(chain_id, target, nonce, *signature)

    def _blob(self, fields: dict, sender: Address) -> Transaction:
        """Return a blob transaction, which only foreign chains have and no wallet of ours signs."""
        rng = self._rng
        count = rng.choice((0, 1, 1, 2, 6, 7))
        hashes = tuple(Hash32(bytes([rng.random() > 0.05]) + rng.randbytes(31)) for _ in range(count))
        cap = rng.choice((0, 1, 2, 10**9))
        return Transaction(
            **fields, y_parity=0, r=1, s=1, raw=b"\x03" + rng.randbytes(100), sender=sender,
            max_fee_per_blob_gas=cap, blob_versioned_hashes=hashes,
        )  # fmt: skip
