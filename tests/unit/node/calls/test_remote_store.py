"""A call worker asks the node for little: what is read height by height comes many at a time, what is far apart alone."""

from __future__ import annotations

import pytest

from cybermiles.node.calls.process import _read, _scan
from cybermiles.node.calls.remote_store import WIDEST_STEP, RemoteStore
from cybermiles.node.calls.wire import Kind
from cybermiles.state.kv import MemoryStore
from cybermiles.storage.schema import BLOCK_LOGS, HEADER, at_height

RECORD = bytes(500)


class Node:
    """The node's end of a channel, in this process."""

    def __init__(self, store):
        self._store = store
        self.asked = []
        self.sent_bytes = 0

    def send(self, kind, payload=b""):
        self.asked.append(kind)
        self._answer = _read(self._store, payload) if kind == Kind.GET else _scan(self._store, payload)
        self.sent_bytes += len(self._answer[1])

    def receive(self):
        return self._answer


def reader(prefix, heights):
    node = Node(MemoryStore([(at_height(prefix, height), RECORD) for height in heights]))
    store = RemoteStore(node, 1 << 20)
    store.begin({})
    return node, store


@pytest.mark.parametrize("prefix", [HEADER, BLOCK_LOGS])
@pytest.mark.parametrize("step", range(1, WIDEST_STEP + 1))
def test_heights_close_together_are_read_ahead(prefix, step):
    node, store = reader(prefix, range(1, 1_000))
    for height in range(1, 1_000, step):
        assert store.get(at_height(prefix, height)) == RECORD
    assert len(node.asked) <= 18


@pytest.mark.parametrize("step", [WIDEST_STEP + 1, 10, 40])
def test_heights_far_apart_are_read_alone(step):
    node, store = reader(BLOCK_LOGS, range(1, 1_000))
    wanted = range(1, 1_000, step)
    for height in wanted:
        assert store.get(at_height(BLOCK_LOGS, height)) == RECORD
    assert node.asked == [Kind.GET] * len(wanted)
    assert node.sent_bytes == len(RECORD) * len(wanted)


def test_what_was_read_is_kept_and_what_was_missing_is_asked_for_again():
    node, store = reader(HEADER, [5])
    assert [store.get(at_height(HEADER, height)) for height in (5, 5, 900, 900)] == [RECORD, RECORD, None, None]
    assert len(node.asked) == 3
