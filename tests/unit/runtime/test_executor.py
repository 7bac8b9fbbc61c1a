"""Work that is shared out among threads."""

from __future__ import annotations

import pytest

from cybermiles.runtime.executor import Worker


@pytest.mark.parametrize("count", [0, 1, 31, 32, 100, 333])
def test_every_thread_takes_a_part(count):
    worker = Worker("signatures", 2)
    try:
        parts = []
        worker.spread(parts.append, list(range(count)))
    finally:
        worker.close()
    assert sorted(item for part in parts for item in part) == list(range(count))
    assert len(parts) == (2 if count >= 32 else 1)


def test_what_a_thread_raises_reaches_the_caller():
    def fail(items):
        if 99 in items:
            raise ValueError(len(items))

    worker = Worker("signatures", 2)
    try:
        with pytest.raises(ValueError, match="50"):
            worker.spread(fail, list(range(100)))
    finally:
        worker.close()
