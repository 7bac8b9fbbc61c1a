"""The parameters in force: those of genesis, and on them what members changed.

    check_change   when it is proposed, and again when it takes effect
    apply_change   at the end of a block; holds from the next one on
    effective_params   at any state

Each change is a point (first block, value) in the parameter's history. A parameter may at most double or halve by one
proposal. From 0 it may rise to a thousandth of its largest value (a ratio: a hundredth, from which it may also fall to
0, as halving never gets there).
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from cybermiles.chain.params import PARAM_SPECS, ChainParams, format_value, parse_value
from cybermiles.errors import ConfigError
from cybermiles.governance.errors import BadParamValue, NotChangeable, StepTooLarge, UnknownParam
from cybermiles.governance.layout import (
    CHANGED_PARAMS,
    PARAM_CHANGES,
    PARAM_POINT_WORD,
    PARAM_POINTS,
    ParamPoint,
)
from cybermiles.state.slots import Array, ArrayView, bytes_mapping_slot

if TYPE_CHECKING:
    from cybermiles.state.slots import ReadStorage, Storage

Value = int | Fraction
FIXED = ("max_block_bytes", "block_interval_ms", "clock_precision_ms", "message_delay_ms")
"""Nodes size their messages and set their timers by these before they know a state, so no vote changes them."""
_HALF = Fraction(1, 2)


def value_of(params: ChainParams, name: str) -> Value:
    """Return a known parameter's value."""
    value: Value = getattr(params, name)
    return value


def check_change(params: ChainParams, name: str, text: str) -> ChainParams:
    """Return the parameters after a change. Raises UnknownParam, NotChangeable, BadParamValue or StepTooLarge."""
    if name not in PARAM_SPECS:
        raise UnknownParam(name)
    if name in FIXED:
        raise NotChangeable(name)
    try:
        new = parse_value(name, text)
        changed = _replaced(params, {name: new})
    except ConfigError as error:
        raise BadParamValue(name, text) from error
    old = value_of(params, name)
    if new == old:
        raise BadParamValue(name, text)
    lowest, highest = step_bounds(name, old)
    if not lowest <= new <= highest:
        raise StepTooLarge(name, format_value(lowest), format_value(highest))
    return changed


def step_bounds(name: str, old: Value) -> tuple[Value, Value]:
    """Return the least and the largest value that one proposal may set, bounds of the parameter aside."""
    maximum = PARAM_SPECS[name].maximum
    if isinstance(old, Fraction):
        first = maximum * Fraction(1, 100)
        return (Fraction(0) if old <= first else old * _HALF), (old * 2 if old else Fraction(first))
    return old // 2, (old * 2 if old else max(1, int(maximum) // 1000))


def effective_params(genesis: ChainParams, storage: ReadStorage) -> ChainParams:
    """Return the parameters in force in the block after a state, from the storage of the governance contract there."""
    names = ArrayView(storage, CHANGED_PARAMS)
    if not len(names):
        return genesis
    values: dict[str, Value] = {}
    for index in range(len(names)):
        name = storage.load_text(names.slot_of(index))
        points = points_view(storage, name)
        values[name] = point_at(storage, points, len(points) - 1)[1]
    return _replaced(genesis, values)


def changes_made(storage: ReadStorage) -> int:
    """Return how many changes have taken effect since genesis; while it stays, `effective_params` does."""
    return storage.load(PARAM_CHANGES)


def apply_change(storage: Storage, name: str, value: Value, from_block: int) -> None:
    """Put a checked value in force from a block on, which is the next one."""
    points = Array(storage, bytes_mapping_slot(PARAM_POINTS, name.encode()))
    if not len(points):
        names = Array(storage, CHANGED_PARAMS)
        storage.store_text(names.slot_of(names.grow()), name)
    point = ParamPoint(from_block, value.denominator, value.numerator)
    points.append(PARAM_POINT_WORD.pack(point))
    storage.add(PARAM_CHANGES, 1)


def points_view(storage: ReadStorage, name: str) -> ArrayView:
    """Return a parameter's history, oldest first."""
    return ArrayView(storage, bytes_mapping_slot(PARAM_POINTS, name.encode()))


def point_at(storage: ReadStorage, points: ArrayView, index: int) -> tuple[int, Value]:
    """Return a point of a history: the first block and the value."""
    point = PARAM_POINT_WORD.load(storage, points.slot_of(index))
    return point.from_block, Fraction(point.numerator, point.denominator)


def _replaced(params: ChainParams, values: dict[str, Value]) -> ChainParams:
    typed = {
        name: Fraction(value) if isinstance(PARAM_SPECS[name].minimum, Fraction) else int(value)
        for name, value in values.items()
    }
    return replace(params, **typed)  # type: ignore[arg-type]  # the kind was decided by the table
