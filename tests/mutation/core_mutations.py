"""More bugs of the core and of the types under it, for their unit tests; `protocol_mutations` has the famous ones.

Schedules of the simulation see few of these, for they cost time or memory rather than agreement.
"""

from __future__ import annotations

from functools import partial

from tests.mutation import mutation

UNITS = ("tests/unit/consensus/core", "tests/unit/types/test_rotation.py")
Mutation = partial(mutation.Mutation, killers=UNITS)

CORE = "cybermiles/consensus/core"
MACHINE, TALLY, KEEPER, DRIVER, MULTIPLEXER = (
    f"{CORE}/{name}.py" for name in ("state_machine", "tally", "vote_keeper", "driver", "multiplexer")
)
SETS, ROTATION = "cybermiles/types/validator.py", "cybermiles/types/rotation.py"

MUTATIONS = (
    Mutation("one third is an honest minority", SETS, "return self.total_power // 3 + 1", "return self.total_power // 3"),
    Mutation(
        "a quorum of anything supports a proposal",
        MULTIPLEXER,
        "votes.prevotes.block_hash == arrival.proposal.block_hash",
        "votes.prevotes.has_quorum",
    ),
    Mutation("a block proposed again counts as fresh", MULTIPLEXER, "if pol_round == -1:", "if pol_round >= -1:"),
    Mutation(
        "a late polka is forgotten",
        MACHINE,
        "replace(state, valid=RoundValue(block_hash, state.round), has_polka=True)",
        "replace(state, has_polka=True)",
    ),
    Mutation("precommitting nil unlocks", MACHINE, "replace(state, step=Step.PRECOMMIT), (o.Precommit(None),)", "replace(state, step=Step.PRECOMMIT, locked=None), (o.Precommit(None),)"),
    Mutation(
        "the second vote counts twice for anything",
        TALLY,
        "        self.second[position] = vote\n",
        "        self.second[position] = vote\n        self.power += power\n",
    ),
    Mutation(
        "two quorums go unnoticed",
        TALLY,
        "if self.is_nil or self.block_hash is not None:",
        "if False:",
    ),
    Mutation(
        "a lock needs no proposal of its round",
        MULTIPLEXER,
        "self._proposals.has_valid(state.round, block_hash)",
        "self._proposals.accepted(block_hash)",
    ),
    Mutation("a block is decided before it is here", MULTIPLEXER, "if self._proposals.accepted(block_hash) is not None:", "if True:"),
    Mutation("the very next round is not skipped to", MACHINE, "case c.RoundAhead(round_) if round_ > state.round:", "case c.RoundAhead(round_) if round_ > state.round + 1:"),
    Mutation("any time is credible", MULTIPLEXER, "if not self._timeliness.is_timely(", "if False and not self._timeliness.is_timely("),
    Mutation("far votes are forgotten when their round turns real", KEEPER, "for vote in list(self._far.take(round_)):", "for vote in list(self._far.take(round_))[:0]:"),
    Mutation("an own vote that is known is given again", DRIVER, "if known is None or known.tally(type_).votes[self._own_position] is None:", "if True:"),
    Mutation("rules are applied once an input", DRIVER, "        while any(self._apply(clause) for clause in self._multiplexer.clauses(self.state)):\n            pass\n", "        any(self._apply(clause) for clause in self._multiplexer.clauses(self.state))\n"),
    Mutation("rescaling rounds down", ROTATION, "priority // ratio if priority >= 0 else -(-priority // ratio)", "priority // ratio"),
    Mutation("equal priorities go to the largest address", ROTATION, "range(len(addresses)), key=lambda index: (-priorities[index], addresses[index])", "range(len(addresses) - 1, -1, -1), key=lambda index: -priorities[index]"),
    Mutation("newcomers start at priority zero", ROTATION, "newcomer = -(before + (before >> 3))", "newcomer = 0"),
)  # fmt: skip
