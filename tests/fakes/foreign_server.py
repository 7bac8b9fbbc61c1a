"""A conformance server that runs in a thread of its own and is asked over HTTP, as a client asks it."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from contextlib import contextmanager

from cybermiles.conformance.chain import load_chain
from cybermiles.conformance.server import conformance_server
from cybermiles.runtime.executor import Worker


@contextmanager
def served(genesis, blocks):
    """Serve a chain; yields the address."""
    worker = Worker("calls")
    server = conformance_server(load_chain(genesis, blocks), worker)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result()
        yield server.url
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        worker.close()


def post(url, body):
    """Return the parsed answer to a request's bytes."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return json.load(response)
