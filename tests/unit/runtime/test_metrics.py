"""Metrics: declared once as a dataclass, counted apart by each node, read as Prometheus' text format."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from cybermiles.errors import InvariantViolation
from cybermiles.runtime.metrics import Counter, Gauge, Histogram, Registry, counter, gauge, histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A group of each kind."""

    seen_total: Counter = counter("kind")
    """Things seen, over
    two lines."""
    height: Gauge = gauge()
    """Where it stands."""
    wait_seconds: Histogram = histogram("step", buckets=(0.1, 1.0))
    """How long it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undocumented:
    height: Gauge = gauge()


@dataclass(frozen=True, slots=True, kw_only=True)
class MisnamedCounter:
    seen: Counter = counter()
    """A counter without the suffix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MisnamedGauge:
    seen_total: Gauge = gauge()
    """A gauge with a counter's suffix."""


def lines(registry):
    return registry.render().decode().splitlines()


def test_a_group_renders_with_its_docstrings_as_help():
    registry = Registry()
    sample = registry.create(Sample, "test")
    sample.seen_total.inc("red")
    sample.seen_total.inc("red", by=2)
    sample.height.set(7)
    sample.wait_seconds.observe(0.5, "propose")
    text = lines(registry)
    assert "# HELP cmt_test_seen_total Things seen, over two lines." in text
    assert "# TYPE cmt_test_seen_total counter" in text
    assert 'cmt_test_seen_total{kind="red"} 3.0' in text
    assert "cmt_test_height 7.0" in text
    assert 'cmt_test_wait_seconds_bucket{le="0.1",step="propose"} 0.0' in text
    assert 'cmt_test_wait_seconds_bucket{le="1.0",step="propose"} 1.0' in text
    assert not [line for line in text if "_created" in line]


def test_two_nodes_of_one_process_count_apart():
    first, second = Registry(), Registry()
    one, other = first.create(Sample, "test"), second.create(Sample, "test")
    one.height.set(1)
    other.height.set(2)
    assert "cmt_test_height 1.0" in lines(first)
    assert "cmt_test_height 2.0" in lines(second)


def test_the_process_itself_is_measured():
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines(Registry()))


def test_values_that_others_keep_are_copied_when_asked_for():
    registry = Registry()
    sample = registry.create(Sample, "test")
    heights = iter((3, 4))
    registry.before_render(lambda: sample.height.set(next(heights)))
    assert "cmt_test_height 3.0" in lines(registry)
    assert "cmt_test_height 4.0" in lines(registry)
    assert "cmt_test_height 4.0" in lines(registry), "a hook that raises costs its own values only"


def test_the_rows_say_what_there_is():
    registry = Registry()
    registry.create(Sample, "test")
    assert [(row.name, row.kind, row.labels) for row in registry.rows] == [
        ("cmt_test_seen_total", "counter", ("kind",)),
        ("cmt_test_height", "gauge", ()),
        ("cmt_test_wait_seconds", "histogram", ("step",)),
    ]
    assert registry.rows[1].help == "Where it stands."


@pytest.mark.parametrize("group", [Undocumented, MisnamedCounter, MisnamedGauge])
def test_a_metric_without_help_or_with_a_misleading_name_is_refused(group):
    with pytest.raises(InvariantViolation, match="docstring"):
        Registry().create(group, "test")
