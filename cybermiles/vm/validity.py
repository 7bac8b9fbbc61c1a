"""Whether a transaction may be executed at all: checked before the first opcode, by proposers and validators.

`check_static` needs the transaction and the rules only, so the pool makes it once; `check_stateful` compares with
the sender's account. Stock py-evm leaves several of these to its caller. Messages begin with geth's phrases,
because libraries match them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.errors import (
    FeeCapTooLow,
    GasLimitExceeded,
    InitcodeTooLarge,
    InsufficientFunds,
    IntrinsicGasTooLow,
    InvalidSignature,
    MalformedTransaction,
    NonceOverflow,
    NonceTooHigh,
    NonceTooLow,
    SenderHasCode,
    TipAboveFeeCap,
    UnsupportedTransactionType,
)
from cybermiles.types.transaction import BLOB, SET_CODE
from cybermiles.vm.rules import Fork

if TYPE_CHECKING:
    from cybermiles.types.primitives import Address
    from cybermiles.types.transaction import AccessList, Transaction
    from cybermiles.vm.rules import ChainRules

TRANSACTION_GAS = 21_000
CREATION_GAS = 32_000
ZERO_BYTE_GAS = 4
NON_ZERO_BYTE_GAS = 16
INITCODE_WORD_GAS = 2
ACCESS_LIST_ADDRESS_GAS = 2_400
ACCESS_LIST_SLOT_GAS = 1_900
AUTHORIZATION_GAS = 25_000
FLOOR_GAS_PER_TOKEN = 10
"""EIP-7623; a zero byte is one token, any other byte four."""
MAX_INITCODE_BYTES = 49_152
"""EIP-3860."""
MAX_TRANSACTION_GAS = 2**24
"""EIP-7825, from Osaka."""
GAS_PER_BLOB = 2**17
MAX_BLOBS_PER_TRANSACTION = {Fork.CANCUN: 6, Fork.PRAGUE: 9, Fork.OSAKA: 6}
"""From Osaka EIP-7594's own limit, before it the block's."""
BLOB_FEE_FRACTION = {Fork.CANCUN: 3_338_477, Fork.PRAGUE: 5_007_716, Fork.OSAKA: 5_007_716}
DELEGATION_PREFIX = b"\xef\x01\x00"
_U64_MAX = 2**64 - 1
_U256_MAX = 2**256 - 1


def intrinsic_gas(data: bytes, *, creates: bool, access_list: AccessList = (), authorizations: int = 0) -> int:
    """Return the gas due before the first opcode (EIP-2, 2028, 2930, 3860, 7702)."""
    zeros = data.count(0)
    gas = TRANSACTION_GAS + ZERO_BYTE_GAS * zeros + NON_ZERO_BYTE_GAS * (len(data) - zeros)
    if creates:
        gas += CREATION_GAS + INITCODE_WORD_GAS * ((len(data) + 31) // 32)
    for _, slots in access_list:
        gas += ACCESS_LIST_ADDRESS_GAS + ACCESS_LIST_SLOT_GAS * len(slots)
    return gas + AUTHORIZATION_GAS * authorizations


def floor_gas(data: bytes, fork: Fork) -> int:
    """Return the least gas a transaction with this data is charged (EIP-7623), 0 before Prague."""
    if fork < Fork.PRAGUE:
        return 0
    zeros = data.count(0)
    return TRANSACTION_GAS + FLOOR_GAS_PER_TOKEN * (zeros + 4 * (len(data) - zeros))


def gas_needed(transaction: Transaction, fork: Fork) -> tuple[int, int]:
    """Return (intrinsic gas, floor gas) of a transaction."""
    data = transaction.data
    if not data and not transaction.access_list and not transaction.authorizations:
        plain = TRANSACTION_GAS if transaction.to is not None else TRANSACTION_GAS + CREATION_GAS
        return plain, TRANSACTION_GAS if fork >= Fork.PRAGUE else 0
    intrinsic = intrinsic_gas(
        data,
        creates=transaction.to is None,
        access_list=transaction.access_list,
        authorizations=len(transaction.authorizations),
    )
    return intrinsic, floor_gas(data, fork)


def check_static(transaction: Transaction, rules: ChainRules, block_gas_limit: int) -> None:
    """Raise the fitting InvalidTransaction where no state could make the transaction valid.

    An unsigned transaction is valid on a chain for development only: here, and nowhere else, it is refused.
    """
    if transaction.is_unsigned and not rules.allow_unsigned:
        raise InvalidSignature("invalid transaction v, r, s values: it is not signed")
    _check_type(transaction, rules)
    if transaction.nonce >= _U64_MAX:
        raise NonceOverflow(f"nonce has max value: {transaction.nonce}")
    gas_limit = transaction.gas_limit
    if rules.fork >= Fork.OSAKA and gas_limit > MAX_TRANSACTION_GAS:
        raise GasLimitExceeded(f"transaction gas limit too high (cap: {MAX_TRANSACTION_GAS}, tx: {gas_limit})")
    if gas_limit > block_gas_limit:
        raise GasLimitExceeded(
            f"exceeds block gas limit: the block's is {block_gas_limit}, the transaction's {gas_limit}"
        )
    if transaction.max_priority_fee_per_gas > transaction.max_fee_per_gas:
        raise TipAboveFeeCap(
            "max priority fee per gas higher than max fee per gas: tip "
            f"{transaction.max_priority_fee_per_gas}, cap {transaction.max_fee_per_gas}"
        )
    if transaction.to is None and len(transaction.data) > MAX_INITCODE_BYTES:
        raise InitcodeTooLarge(
            f"max initcode size exceeded: code size {len(transaction.data)}, limit {MAX_INITCODE_BYTES}"
        )
    needed = max(gas_needed(transaction, rules.fork))
    if gas_limit < needed:
        raise IntrinsicGasTooLow(f"intrinsic gas too low: have {gas_limit}, want {needed}")


def check_stateful(  # noqa: PLR0913  (the sender's account is passed as its parts)
    transaction: Transaction,
    *,
    nonce: int,
    balance: int,
    code: bytes,
    base_fee: int,
    blob_fee: int = 0,
    free: bool = False,
) -> None:
    """Raise the fitting InvalidTransaction where the sender's account does not allow it now.

    With `free` the balance must cover the value only; otherwise gas at the fee *cap*, blobs and value.
    """
    if transaction.nonce != nonce:
        error = NonceTooLow if transaction.nonce < nonce else NonceTooHigh
        word = "low" if transaction.nonce < nonce else "high"
        raise error(
            f"nonce too {word}: next nonce {nonce}, tx nonce {transaction.nonce}; "
            f"address {hex_address(transaction.sender)}"
        )
    if code and not code.startswith(DELEGATION_PREFIX) and not transaction.is_unsigned:
        raise SenderHasCode(f"sender not an eoa: address {hex_address(transaction.sender)}")
    if transaction.max_fee_per_gas < base_fee:
        raise FeeCapTooLow(
            f"max fee per gas less than block base fee: cap {transaction.max_fee_per_gas}, base fee {base_fee}"
        )
    if transaction.type == BLOB and transaction.max_fee_per_blob_gas < blob_fee:
        raise FeeCapTooLow(
            f"max fee per blob gas less than block blob gas fee: cap "
            f"{transaction.max_fee_per_blob_gas}, blob gas fee {blob_fee}"
        )
    need = transaction.value
    if not free:
        need += max_cost_of_gas(transaction)
    if need > _U256_MAX or balance < need:
        raise cannot_pay(transaction.sender, balance, need)


def cannot_pay(address: Address, balance: int, need: int) -> InsufficientFunds:
    """Return the error, as geth words it, of an account that has less than gas and value may take. Wei."""
    return InsufficientFunds(
        f"insufficient funds for gas * price + value: address {hex_address(address)} have {balance} want {need}"
    )


def max_cost_of_gas(transaction: Transaction) -> int:
    """Return the most the gas (and blobs) may cost, in wei."""
    cost = transaction.gas_limit * transaction.max_fee_per_gas
    if transaction.blob_versioned_hashes:
        blobs = len(transaction.blob_versioned_hashes)
        cost += GAS_PER_BLOB * blobs * transaction.max_fee_per_blob_gas
    return cost


def blob_base_fee(excess_blob_gas: int, fork: Fork, fraction: int | None = None) -> int:
    """Return wei per blob gas (EIP-4844's fake exponential); `fraction` is the fork's unless given."""
    fraction = BLOB_FEE_FRACTION[fork] if fraction is None else fraction
    index, output, term = 1, 0, fraction
    while term > 0:
        output += term
        term = term * excess_blob_gas // (fraction * index)
        index += 1
    return output // fraction


def hex_address(address: Address) -> str:
    """Return 0x and 40 lower-case hex digits."""
    return "0x" + address.hex()


def _check_type(transaction: Transaction, rules: ChainRules) -> None:
    if transaction.type == SET_CODE:
        if rules.fork < Fork.PRAGUE:
            raise UnsupportedTransactionType("transaction type not supported: 4")
        if transaction.to is None or not transaction.authorizations:
            raise MalformedTransaction("a set-code transaction needs a recipient and at least one authorization")
    elif transaction.type == BLOB:
        if not rules.ethereum_fees:
            raise UnsupportedTransactionType("transaction type not supported: 3")
        hashes = transaction.blob_versioned_hashes
        if not 0 < len(hashes) <= MAX_BLOBS_PER_TRANSACTION[rules.fork] or transaction.to is None:
            raise MalformedTransaction(
                f"a blob transaction needs a recipient and 1 to {MAX_BLOBS_PER_TRANSACTION[rules.fork]} blobs"
            )
        if any(versioned[0] != 1 for versioned in hashes):
            raise MalformedTransaction("blob versioned hash with an unknown version")
