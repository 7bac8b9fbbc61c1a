"""The economy as a Hypothesis state machine; long runs: python -m tests.simulation.economy."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.simulation.economy import Life

OPERATIONS = 23


class Economy(RuleBasedStateMachine):
    @initialize(random=st.randoms(use_true_random=False))
    def begin(self, random):
        self.life = Life(random.randrange)
        assert len(self.life.operations) == OPERATIONS

    @rule(index=st.integers(0, OPERATIONS - 1))
    def operate(self, index):
        self.life.operation(index)

    @rule()
    def end_block(self):
        self.life.block()

    def teardown(self):
        if hasattr(self, "life"):
            self.life.drain()


Economy.TestCase.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestEconomy = Economy.TestCase
