"""The mined chain and the server that answers about it."""

from __future__ import annotations

import json

import pytest

from tests.fakes.foreign import mine
from tests.fakes.foreign_server import post, served


@pytest.fixture(scope="session")
def mined():
    return mine()


@pytest.fixture(scope="module")
def url(mined):
    with served(*mined[:2]) as address:
        yield address


@pytest.fixture
def ask(url):
    """Ask the server: method and parameters to (result, error)."""

    def request(method, *params):
        answer = post(url, json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode())
        return answer.get("result"), answer.get("error")

    return request
