"""Every recorded exchange, asked of the real server over HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request

import pytest

from cybermiles.conformance.chain import load_chain
from cybermiles.conformance.server import conformance_server
from cybermiles.runtime.executor import Worker
from tests.vectors import rpc_exchanges

FILES = rpc_exchanges.read_files()
EXCHANGES = rpc_exchanges.exchanges(FILES)


@pytest.fixture(scope="module")
def url():
    """A server of the chain, in a thread of its own."""
    worker = Worker("calls")
    server = conformance_server(load_chain(FILES["genesis.json"], FILES["chain.rlp"]), worker)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result()
    yield server.url
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    worker.close()


@pytest.mark.skipif(not EXCHANGES, reason=f"no recorded exchanges at {rpc_exchanges.SOURCE}; set CMT_VECTORS")
@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_the_answer_is_the_recorded_one(url, exchange):
    request = urllib.request.Request(url, exchange.request, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        answer = json.load(response)
    assert rpc_exchanges.comparable(exchange.name, answer) == rpc_exchanges.comparable(exchange.name, exchange.response)


@pytest.mark.skipif(not EXCHANGES, reason=f"no recorded exchanges at {rpc_exchanges.SOURCE}; set CMT_VECTORS")
def test_every_exception_is_an_exchange_that_there_is():
    assert rpc_exchanges.EXCEPTIONS.keys() <= {exchange.name for exchange in EXCHANGES}
