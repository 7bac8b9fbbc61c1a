"""What a stranger's bytes must satisfy before the pool looks at its sender's account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.chain.fees import price_needed
from cybermiles.errors import AccountFrozen, OversizedTransaction, SenderHasCode, Underpriced
from cybermiles.sponsorship.lane import DepositSponsors
from cybermiles.types.primitives import EMPTY_CODE_HASH
from cybermiles.types.transaction import check_chain_id
from cybermiles.types.transaction_codec import decode_transaction
from cybermiles.vm.validity import DELEGATION_PREFIX, check_static

if TYPE_CHECKING:
    from collections.abc import Container

    from cybermiles.chain.params import ChainParams
    from cybermiles.sponsorship.lane import Promised
    from cybermiles.state.reader import StateReader
    from cybermiles.types.account import Account
    from cybermiles.types.primitives import Address
    from cybermiles.types.transaction import Transaction
    from cybermiles.vm.rules import ChainRules


class Admission:
    """The checks under one chain's rules that do not need the sender's account."""

    def __init__(self, rules: ChainRules, params: ChainParams, *, allow_unprotected: bool) -> None:
        self._rules = rules
        self._params = params
        self._allow_unprotected = allow_unprotected

    def adopt(self, params: ChainParams) -> None:
        """Admit by these parameters from now on."""
        self._params = params

    def decode(self, raw: bytes) -> Transaction:
        """Return the transaction of wire bytes that could ever be included.

        Raises the fitting InvalidTransaction. Its sender is not recovered yet: the caller does that in batches.
        """
        params = self._params
        transaction = decode_transaction(raw)
        if transaction.size > params.max_block_bytes:
            raise OversizedTransaction(f"oversized data: the block limit is {params.max_block_bytes}")
        check_chain_id(transaction, self._rules.chain_id, allow_unprotected=self._allow_unprotected)
        check_static(transaction, self._rules, params.block_gas_limit)
        return transaction

    def is_sponsored(self, transaction: Transaction, state: StateReader, promised: Promised, now: int) -> bool:
        """Tell whether a sponsor's deposit covers a transaction that offers less than the price floor.

        `promised` is what the pool counts on already, `now` the time in seconds. Raises Underpriced where none does
        and the transaction is too large to be free.
        """
        return self._sponsor(transaction, state, promised, now, with_sender=True)

    def check_lane(self, transaction: Transaction, state: StateReader, promised: Promised, now: int) -> None:
        """Raise Underpriced for a transaction that no lane takes, whoever sent it: before its sender is recovered."""
        if transaction.gas_limit > self._params.free_gas_limit:
            self._sponsor(transaction, state, promised, now, with_sender=False)

    def _sponsor(
        self, transaction: Transaction, state: StateReader, promised: Promised, now: int, *, with_sender: bool
    ) -> bool:
        params = self._params
        if transaction.effective_gas_price(0) >= params.min_gas_price:
            return False
        sponsors = DepositSponsors(state, params.min_gas_price, now, promised)
        ask = sponsors.refusal if with_sender else sponsors.refusal_of_any_sender
        why_not = ask(transaction)
        if why_not is not None and transaction.gas_limit > params.free_gas_limit:
            raise Underpriced(price_needed(transaction.gas_limit, params, why_not))
        return why_not is None


def check_frozen(frozen: Container[Address], sender: Address) -> None:
    """Raise AccountFrozen where members froze the sender's account."""
    if sender in frozen:
        raise AccountFrozen(f"account frozen: address 0x{sender.hex()} can send nothing during its recovery")


def check_account(account: Account, state: StateReader, transaction: Transaction) -> None:
    """Raise SenderHasCode for a contract that is not a delegated account (EIP-3607, EIP-7702)."""
    if transaction.is_unsigned:
        return
    if account.code_hash != EMPTY_CODE_HASH and not state.code(account.code_hash).startswith(DELEGATION_PREFIX):
        raise SenderHasCode(f"sender not an eoa: address 0x{transaction.sender.hex()}")
