"""Bugs of the protocol's rules, for the schedules of the bare core."""

from __future__ import annotations

from tests.mutation.mutation import Mutation

CORE = "cybermiles/consensus/core"
UNITS = ("core", "tests/unit/consensus/core", "tests/unit/types/test_validator.py")
NOT_CORE = UNITS[1:]
"""Of bugs that cost time, not agreement, or that show only where more than a third lies."""

MUTATIONS = (
    Mutation(
        "a quorum is one too small",
        "cybermiles/types/validator.py",
        "return 2 * self.total_power // 3 + 1",
        "return 2 * self.total_power // 3",
        UNITS,
    ),
    Mutation(
        "a round is skipped to by a quorum only",
        "cybermiles/types/validator.py",
        "return self.total_power // 3 + 1",
        "return 2 * self.total_power // 3 + 1",
        NOT_CORE,
    ),
    Mutation(
        "the lock is ignored",
        f"{CORE}/state_machine.py",
        "return state.locked is None or state.locked.block_hash == block_hash",
        "return True",
        UNITS,
    ),
    Mutation(
        "a lock gives way to a polka of a later round only",
        f"{CORE}/state_machine.py",
        "state.locked.round <= pol_round",
        "state.locked.round < pol_round",
        NOT_CORE,
    ),
    Mutation(
        "a lock gives way to an older polka",
        f"{CORE}/state_machine.py",
        "state.locked.round <= pol_round",
        "state.locked.round >= pol_round",
        UNITS,
    ),
    Mutation(
        "a lock gives way to no polka",
        f"{CORE}/state_machine.py",
        "block_hash if is_newer or _is_free_for(state, block_hash) else None",
        "block_hash if _is_free_for(state, block_hash) else None",
        UNITS,
    ),
    Mutation(
        "the polka of a proposal is not checked",
        f"{CORE}/multiplexer.py",
        "elif self._has_polka(pol_round, arrival):",
        "elif pol_round >= 0:",
        UNITS,
    ),
    Mutation(
        "the polka of a proposal may be another block's",
        f"{CORE}/multiplexer.py",
        "votes.prevotes.block_hash == arrival.proposal.block_hash",
        "votes.prevotes.block_hash is not None",
        UNITS,
    ),
    Mutation(
        "the valid value is forgotten by the proposer",
        f"{CORE}/state_machine.py",
        "if state.valid is None:  # L18",
        "if state.valid is None or state.valid:  # L18",
        UNITS,
    ),
    Mutation(
        "the valid value is forgotten in the next round",
        f"{CORE}/state_machine.py",
        "return RoundState(round=round_, locked=state.locked, valid=state.valid)",
        "return RoundState(round=round_, locked=state.locked)",
        UNITS,
    ),
    Mutation(
        "the lock is forgotten in the next round",
        f"{CORE}/state_machine.py",
        "return RoundState(round=round_, locked=state.locked, valid=state.valid)",
        "return RoundState(round=round_, valid=state.valid)",
        UNITS,
    ),
    Mutation(
        "a late polka locks",
        f"{CORE}/state_machine.py",
        "replace(state, valid=RoundValue(block_hash, state.round), has_polka=True)",
        "replace(state, valid=RoundValue(block_hash, state.round), locked=RoundValue(block_hash, state.round), "
        "has_polka=True)",
        UNITS,
    ),
    Mutation(
        "the mark of the precommit timer stays in the next round",
        f"{CORE}/state_machine.py",
        "return RoundState(round=round_, locked=state.locked, valid=state.valid)",
        "return RoundState(\n        round=round_, locked=state.locked, valid=state.valid, "
        "has_precommit_timer=state.has_precommit_timer\n    )",
        UNITS,
    ),
    Mutation(
        "the mark of the polka stays in the next round",
        f"{CORE}/state_machine.py",
        "return RoundState(round=round_, locked=state.locked, valid=state.valid)",
        "return RoundState(round=round_, locked=state.locked, valid=state.valid, has_polka=state.has_polka)",
        UNITS,
    ),
    Mutation(
        "the first vote wins",
        f"{CORE}/tally.py",
        "if first.block_hash == vote.block_hash:\n            return IGNORED",
        "if first is not None:\n            return IGNORED",
        UNITS,
    ),
    Mutation(
        "a third vote counts for nobody",
        f"{CORE}/tally.py",
        "or not is_proven:",
        "or is_proven or not is_proven:",
        UNITS,
    ),
    Mutation(
        "the last vote of a certificate is left out",
        f"{CORE}/vote_keeper.py",
        "for vote in votes:\n            outcomes += self._add(vote, is_proven",
        "for vote in votes[:-1]:\n            outcomes += self._add(vote, is_proven",
        UNITS,
    ),
    Mutation(
        "only the current round decides",
        f"{CORE}/multiplexer.py",
        "for round_ in sorted(self._votes.commits):\n",
        "for round_ in sorted(r for r in self._votes.commits if r == max(self._votes.rounds())):\n",
        UNITS,
    ),
    Mutation(
        "a polka of anything hides one for nil",
        f"{CORE}/multiplexer.py",
        "        if prevotes.is_nil:\n            yield c.PolkaForNil()\n",
        "",
        NOT_CORE,
    ),
    Mutation(
        "rebroadcasting happens once",
        f"{CORE}/driver.py",
        "            self._publish(self._own_votes.get(type_))\n        self._rearm()",
        "            self._publish(self._own_votes.get(type_))",
        UNITS,
    ),
    Mutation(
        "no polka certificate goes with a block proposed again",
        f"{CORE}/driver.py",
        "        if output.pol_round >= 0:\n",
        "        if output.pol_round > self.height:\n",
        NOT_CORE,
    ),
    Mutation(
        "the precommit timer of any round ends the current one",
        f"{CORE}/state_machine.py",
        "case c.PrecommitTimedOut(round_) if round_ == state.round:",
        "case c.PrecommitTimedOut(round_) if round_ <= state.round:",
        UNITS,
    ),
    Mutation(
        "the propose timer does nothing",
        f"{CORE}/state_machine.py",
        "case c.ProposeTimedOut(round_) if round_ == state.round:",
        "case c.ProposeTimedOut(round_) if round_ > state.round:",
        UNITS,
    ),
    Mutation(
        "a block proposed again must be timely too",
        f"{CORE}/multiplexer.py",
        "            if pol_round == -1:\n                yield self._fresh(arrival, is_valid=is_valid)",
        "            if pol_round == -1 or not isinstance(self._fresh(arrival, is_valid=is_valid), c.FreshProposal):\n"
        "                yield self._fresh(arrival, is_valid=is_valid)",
        UNITS,
    ),
    Mutation(
        "rubbish under a good hash refuses the good block",
        f"{CORE}/proposal_keeper.py",
        "        return False if (proposal.block_hash, proposal.parts) in self._refused else None",
        "        return False if any(block_hash == proposal.block_hash for block_hash, _ in self._refused) else None",
        UNITS,
    ),
    Mutation(
        "votes of far rounds are kept without bound",
        f"{CORE}/vote_keeper.py",
        "            if vote.round > self._round + 1:\n                return self._add_far(position, vote)\n",
        "",
        UNITS,
    ),
)
