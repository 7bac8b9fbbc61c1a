"""Every recorded exchange, asked of the real server over HTTP."""

from __future__ import annotations

import pytest

from tests.fakes.foreign_server import post, served
from tests.vectors import rpc_exchanges

FILES = rpc_exchanges.read_files()
EXCHANGES = rpc_exchanges.exchanges(FILES)


@pytest.fixture(scope="module")
def url():
    with served(FILES["genesis.json"], FILES["chain.rlp"]) as address:
        yield address


@pytest.mark.skipif(not EXCHANGES, reason=f"no recorded exchanges at {rpc_exchanges.SOURCE}; set CMT_VECTORS")
@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_the_answer_is_the_recorded_one(url, exchange):
    answer = post(url, exchange.request)
    assert rpc_exchanges.comparable(exchange.name, answer) == rpc_exchanges.comparable(exchange.name, exchange.response)


@pytest.mark.skipif(not EXCHANGES, reason=f"no recorded exchanges at {rpc_exchanges.SOURCE}; set CMT_VECTORS")
def test_every_exception_is_an_exchange_that_there_is():
    assert rpc_exchanges.EXCEPTIONS.keys() <= {exchange.name for exchange in EXCHANGES}
