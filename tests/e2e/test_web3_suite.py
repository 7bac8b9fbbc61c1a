"""web3.py's own integration tests, as they are shipped, against the real process.

The classes are web3's; here are only the fixtures that they ask for, and the table of what does not apply to a node
that holds no keys. A row of the table must fail: one that passes has no place in it.
"""

from __future__ import annotations

import pytest
from eth_account import Account
from web3 import Web3
from web3._utils.contract_sources.contract_data.emitter_contract import EMITTER_CONTRACT_DATA
from web3._utils.contract_sources.contract_data.math_contract import MATH_CONTRACT_DATA
from web3._utils.contract_sources.contract_data.offchain_lookup import OFFCHAIN_LOOKUP_DATA
from web3._utils.contract_sources.contract_data.panic_errors_contract import PANIC_ERRORS_CONTRACT_DATA
from web3._utils.contract_sources.contract_data.revert_contract import REVERT_CONTRACT_DATA
from web3._utils.contract_sources.contract_data.storage_contract import STORAGE_CONTRACT_DATA
from web3._utils.module_testing import EthModuleTest, GoEthereumTxPoolModuleTest, NetModuleTest, Web3ModuleTest
from web3._utils.module_testing.utils import RequestMocker
from web3.middleware import SignAndSendRawMiddlewareBuilder, Web3Middleware

from tests.e2e.conftest import KEYS, Devnet, with_fast_blocks

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore")]
GWEI = 10**9
CHAIN_ID = 131277322940537
"""The chain that web3's tests sign for."""

_NO_KEYS = "the node holds no keys and signs nothing"
_NAMES = "web3's name resolution fails in its own normalisation before it asks the node"
_SIGNER = "eth-account, which signs here, refuses the transaction that web3 makes"
_FREE = "common operations are free on this chain"
_AWARDS = "every block has an event of the staking contract, so a query for all logs finds more than the test's"
DOES_NOT_APPLY = {
    "test_eth_gas_price": _FREE + ", and wallets are told so",
    "test_eth_get_transaction_receipt_mined": _FREE,
    "test_eth_wait_for_transaction_receipt_mined": _FREE,
    "test_eth_get_balance_with_block_identifier": "nobody is paid at the zero address, the genesis block's miner",
    "test_eth_getBlockByHash_pending": "the specification's schema has no block without a hash",
    "test_eth_new_filter": _AWARDS,
    "test_eth_get_logs_without_logs": _AWARDS,
    "test_eth_get_logs_with_logs": _AWARDS,
    "test_eth_simulate_v1": "it overrides the base fee, which is always 0 on this chain",
    "test_eth_sign": _NO_KEYS,
    "test_eth_sign_typed_data": _NO_KEYS,
    "test_invalid_eth_sign_typed_data": _NO_KEYS,
    "test_eth_sign_transaction": _NO_KEYS,
    "test_eth_sign_transaction_legacy": _NO_KEYS,
    "test_eth_sign_transaction_hex_fees": _NO_KEYS,
    "test_eth_sign_transaction_ens_names": _NAMES,
    "test_eth_sign_ens_names": _NAMES,
    "test_eth_get_balance_with_ens_name": _NAMES,
    "test_eth_get_storage_at_ens_name": _NAMES,
    "test_eth_get_transaction_count_ens_name": _NAMES,
    "test_eth_get_code_ens_address": _NAMES,
    "test_solidity_keccak_ens": _NAMES,
    "test_gas_price_from_strategy_bypassed_for_dynamic_fee_txn": _SIGNER,
    "test_eth_modify_transaction_legacy": _SIGNER,
}


@pytest.fixture(autouse=True)
def does_not_apply(request):
    """Expect the tests of the table to fail."""
    reason = DOES_NOT_APPLY.get(request.node.originalname)
    if reason is not None:
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    home = tmp_path_factory.mktemp("web3") / "home"
    net = Devnet(with_fast_blocks(home, chain_id=CHAIN_ID)).start()
    net.wait_for(lambda: net.height())
    yield net
    assert net.stop() == 0


@pytest.fixture(scope="module")
def keyfile_account_pkey():
    return KEYS[0]


@pytest.fixture(scope="module")
def keyfile_account_address(keyfile_account_pkey):
    return Account.from_key(keyfile_account_pkey).address


@pytest.fixture(scope="module")
def keyfile_account_address_dual_type(keyfile_account_address):
    return keyfile_account_address


class OwnAccounts(Web3Middleware):
    """Answers `eth_accounts` with the account that the client signs for; the node answers with none."""

    def wrap_make_request(self, make_request):
        own = {"jsonrpc": "2.0", "id": 1, "result": [Account.from_key(KEYS[0]).address]}
        return lambda method, params: own if method == "eth_accounts" else make_request(method, params)


@pytest.fixture(scope="module")
def connected(node, keyfile_account_pkey):
    """A client that signs with the key itself, as every client of a node without keys does."""
    w3 = Web3(Web3.HTTPProvider(node.url))
    w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(keyfile_account_pkey), layer=0)
    w3.middleware_onion.add(OwnAccounts)
    return w3


def is_pool_empty(node):
    return set(node.rpc("txpool_status").values()) == {"0x0"}


@pytest.fixture
def w3(node, connected, keyfile_account_address):
    """The client as a test expects it, whatever the last one did to it."""
    connected.eth.default_account = keyfile_account_address
    connected.eth.default_block = "latest"
    connected.strict_bytes_type_checking = True
    connected.provider.global_ccip_read_enabled = True
    node.wait_for(lambda: not connected.eth.get_block("latest")["transactions"] and is_pool_empty(node))
    yield connected
    connected.eth.set_gas_price_strategy(None)


def mined(w3, transaction_hash):
    return w3.eth.wait_for_transaction_receipt(transaction_hash, poll_latency=0.05)


def deploy(w3, sender, data):
    factory = w3.eth.contract(abi=data["abi"], bytecode=data["bytecode"])
    receipt = mined(w3, factory.constructor().transact({"from": sender}))
    assert receipt["status"] == 1
    return factory(receipt["contractAddress"]), receipt


@pytest.fixture(scope="module")
def math(connected, keyfile_account_address):
    return deploy(connected, keyfile_account_address, MATH_CONTRACT_DATA)


@pytest.fixture(scope="module")
def emitter(connected, keyfile_account_address):
    return deploy(connected, keyfile_account_address, EMITTER_CONTRACT_DATA)


@pytest.fixture(scope="module")
def math_contract(math):
    return math[0]


@pytest.fixture(scope="module")
def math_contract_address(math):
    return math[0].address


@pytest.fixture(scope="module")
def math_contract_deploy_txn_hash(math):
    return math[1]["transactionHash"]


@pytest.fixture(scope="module")
def emitter_contract(emitter):
    return emitter[0]


@pytest.fixture(scope="module")
def emitter_contract_address(emitter):
    return emitter[0].address


@pytest.fixture(scope="module")
def revert_contract(connected, keyfile_account_address):
    return deploy(connected, keyfile_account_address, REVERT_CONTRACT_DATA)[0]


@pytest.fixture(scope="module")
def storage_contract(connected, keyfile_account_address):
    return deploy(connected, keyfile_account_address, STORAGE_CONTRACT_DATA)[0]


@pytest.fixture(scope="module")
def offchain_lookup_contract(connected, keyfile_account_address):
    return deploy(connected, keyfile_account_address, OFFCHAIN_LOOKUP_DATA)[0]


@pytest.fixture(scope="module")
def panic_errors_contract(connected, keyfile_account_address):
    return deploy(connected, keyfile_account_address, PANIC_ERRORS_CONTRACT_DATA)[0]


@pytest.fixture(scope="module")
def mined_txn_hash(connected, keyfile_account_address):
    transaction = {"from": keyfile_account_address, "to": keyfile_account_address, "value": 1, "gas": 21_000}
    transaction_hash = connected.eth.send_transaction(transaction | {"gasPrice": 2 * GWEI})
    mined(connected, transaction_hash)
    return transaction_hash


@pytest.fixture(scope="module")
def block_with_txn(connected, mined_txn_hash):
    return connected.eth.get_block(connected.eth.get_transaction(mined_txn_hash)["blockNumber"])


@pytest.fixture(scope="module")
def empty_block(connected):
    return connected.eth.get_block(1)


@pytest.fixture(scope="module")
def txn_hash_with_log(connected, emitter, keyfile_account_address):
    call = emitter[0].functions.logDouble(9, 12345, 54321)
    transaction_hash = call.transact({"from": keyfile_account_address, "gas": 100_000})
    mined(connected, transaction_hash)
    return transaction_hash


@pytest.fixture(scope="module")
def block_with_txn_with_log(connected, txn_hash_with_log):
    return connected.eth.get_block(connected.eth.get_transaction(txn_hash_with_log)["blockNumber"])


@pytest.fixture(scope="module")
def skip_if_testrpc():
    return lambda _w3: None


@pytest.fixture
def request_mocker():
    return RequestMocker


class TestEth(EthModuleTest):
    pass


class TestNet(NetModuleTest):
    pass


class TestTxPool(GoEthereumTxPoolModuleTest):
    pass


class TestWeb3(Web3ModuleTest):
    def _check_web3_client_version(self, client_version):
        assert client_version.startswith("anvil-compatible cybermiles/")
