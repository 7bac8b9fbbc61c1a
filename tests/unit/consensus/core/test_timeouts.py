"""Timers grow by the round and stop growing at the cap."""

from __future__ import annotations

import pytest

from cybermiles.consensus.core.inputs import TimeoutKind
from cybermiles.consensus.core.timeouts import EngineSettings, Timeouts


@pytest.mark.parametrize(
    ("kind", "rounds"),
    [
        (TimeoutKind.PROPOSE, {0: 3_000, 1: 3_500, 10: 8_000, 113: 59_500, 114: 60_000, 115: 60_000, 10**9: 60_000}),
        (TimeoutKind.PREVOTE, {0: 1_000, 1: 1_500, 117: 59_500, 118: 60_000, 10**9: 60_000}),
        (TimeoutKind.PRECOMMIT, {0: 1_000, 1: 1_500, 117: 59_500, 118: 60_000, 10**9: 60_000}),
    ],
)
def test_defaults(kind, rounds):
    assert {round_: Timeouts().after_ms(kind, round_) for round_ in rounds} == rounds


def test_each_kind_has_its_own_base_and_growth():
    timeouts = Timeouts(
        propose_ms=1, propose_delta_ms=2, prevote_ms=30, prevote_delta_ms=40, precommit_ms=500, precommit_delta_ms=600
    )
    kinds = (TimeoutKind.PROPOSE, TimeoutKind.PREVOTE, TimeoutKind.PRECOMMIT)
    assert [timeouts.after_ms(kind, 3) for kind in kinds] == [7, 150, 2_300]


def test_settings_of_chain_parameters_have_the_chain_s_defaults():
    settings = EngineSettings()
    assert (settings.clock_precision_ms, settings.message_delay_ms, settings.rebroadcast_ms) == (505, 15_000, 5_000)
