"""Algorithm 1 of arXiv:1807.04938, transcribed rule by rule over a log of messages. Slow and, one hopes, obviously right.

Shares no code with the node. Messages and outputs are tuples; every rule scans the whole log again. What the paper
leaves open, the node's documents decide, and this file states it once more:

* Rules are tried in the order of `RULES`; the first that fires is performed, then all are tried again.
* A decision needs a quorum of precommits and a valid block that is here, not the proposal of that round.
* A validator may vote for two values in one place: each counts for its value, the validator once for "any". A third is
  taken in place of the second only from a certificate that holds a quorum for it.
* Votes of rounds beyond the next are kept two rounds a validator, until a third of the power is seen in one of them.
* A fresh proposal whose block's time is not credible is prevoted nil.
* A proposal is valid if its block was accepted and it names that block's parts.

    vote       ("vote", type, round, value, sender)        type "prevote" or "precommit", value None for nil
    proposal   ("proposal", round, value, pol round, parts, received ms)
    verdict    ("verdict", value, parts, accepted, timestamp)
    built      ("built", round, value, parts, timestamp)
    votes      ("certificate", [vote…])
    timer      ("timeout", kind, round)                    kind "propose", "prevote" or "precommit"
"""

from __future__ import annotations

from fractions import Fraction
from math import floor

NOTHING = None
DAY_MS = 86_400_000


class Halt(Exception):
    """Two quorums exclude each other: more than a third is faulty."""


class Tendermint:
    """One process p at one height."""

    def __init__(self, powers, proposer, own, *, precision_ms, delay_ms):
        self.powers = powers  # by sender
        self.proposer = proposer  # function from round to sender
        self.own = own  # sender or None: an observer
        self.precision_ms, self.delay_ms = precision_ms, delay_ms
        self.round, self.step = 0, "unstarted"  # L2, L3
        self.decision = NOTHING  # L4
        self.locked_value, self.locked_round = NOTHING, -1  # L5, L6
        self.valid_value, self.valid_round = NOTHING, -1  # L7, L8
        self.log = []
        self.far = []
        self.open_rounds = set()
        self.quorums = set()  # all that were ever seen
        self.done = set()  # what is done "for the first time"
        self.outputs = []
        self.lines = []  # names of what fired, for the statistics of the tests

    # --- what happens -------------------------------------------------------------------------------------------------

    def start(self):  # L10
        self.start_round(0)
        return self.run_rules()

    def receive(self, message):
        getattr(self, "on_" + message[0])(message)
        return self.run_rules()

    def on_vote(self, vote):
        self.take_votes([vote])

    def on_certificate(self, message):
        votes = message[1]
        for round_ in {vote[2] for vote in votes}:
            if self.power_of({vote[4] for vote in votes if vote[2] == round_}) * 3 > self.total():
                self.open_rounds.add(round_)
        self.move_far()
        proven = [
            (type_, round_, value)
            for _, type_, round_, value, _ in votes
            if value and self.power_of({v[4] for v in votes if v[1:4] == (type_, round_, value)}) * 3 > 2 * self.total()
        ]
        self.take_votes(votes, proven)

    def on_proposal(self, message):
        _, round_, value, pol_round, parts, _ = message
        same_round = [m for m in self.log if m[0] == "proposal" and m[1] == round_]
        if self.decision is not NOTHING or round_ > self.round + 1 or not -1 <= pol_round < round_:
            return
        if (value, pol_round, parts) in [(m[2], m[3], m[4]) for m in same_round]:
            return
        if len(same_round) >= 4:
            is_wanted = self.quorum("prevote", round_, value) or self.quorum("precommit", round_, value)
            if not is_wanted or value in [m[2] for m in same_round]:
                return
        self.log.append(message)

    def on_verdict(self, message):
        self.log.append(message)

    def on_built(self, message):
        _, round_, value, parts, timestamp = message
        self.log.append(("verdict", value, parts, True, timestamp))
        is_asked = self.step == "propose" and round_ == self.round and self.proposer(round_) == self.own
        if is_asked and ("proposed", round_) not in self.done:  # L18, L19
            self.done.add(("proposed", round_))
            self.outputs.append(("propose", round_, value, -1))

    def on_timeout(self, message):
        _, kind, round_ = message
        if self.step == "commit" or round_ != self.round:
            return
        if kind == "propose" and self.step == "propose":  # L57
            self.vote("prevote", None)
            self.step = "prevote"
        elif kind == "prevote" and self.step == "prevote":  # L61
            self.vote("precommit", None)
            self.step = "precommit"
        elif kind == "precommit":  # L65
            self.start_round(self.round + 1)

    # --- the log ------------------------------------------------------------------------------------------------------

    def take_votes(self, votes, proven=()):
        for vote in votes:
            _, _, round_, _, sender = vote
            if sender not in self.powers:
                continue
            if round_ <= self.round + 1 or round_ in self.open_rounds:
                self.log_vote(vote, is_proven=vote[1:4] in proven)
                continue
            of_sender = [v for v in self.far if v[4] == sender]
            rounds = {v[2] for v in of_sender}
            if vote in of_sender or len([v for v in of_sender if v[2] == round_]) == 4:
                continue
            if round_ not in rounds and len(rounds) == 2:
                if round_ < min(rounds):
                    continue
                self.far = [v for v in self.far if v[4] != sender or v[2] != min(rounds)]
            self.far.append(vote)
            if self.power_of({v[4] for v in self.far if v[2] == round_}) * 3 > self.total():
                self.open_rounds.add(round_)
            self.move_far()

    def move_far(self):
        near = [v for v in self.far if v[2] <= self.round + 1 or v[2] in self.open_rounds]
        self.far = [v for v in self.far if v not in near]
        for vote in near:
            self.log_vote(vote)

    def log_vote(self, vote, *, is_proven=False):
        _, type_, round_, value, sender = vote
        earlier = [m[3] for m in self.log if m[0] == "vote" and (m[1], m[2], m[4]) == (type_, round_, sender)]
        if value in earlier or (len(earlier) == 2 and not is_proven):
            return
        if len(earlier) == 2:
            self.log.remove(("vote", type_, round_, earlier[1], sender))
        if earlier:
            self.outputs.append(("equivocation", type_, round_, sender))
        self.log.append(vote)
        self.quorums |= {(type_, round_, value)} if self.quorum(type_, round_, value) else set()
        for type_, round_, value in self.quorums:
            for other_type, other_round, other in self.quorums:
                is_same_place = (type_, round_) == (other_type, other_round)
                are_commits = type_ == other_type == "precommit" and None not in (value, other)
                if value != other and (is_same_place or are_commits):
                    raise Halt

    def rounds(self):
        return sorted({m[2] for m in self.log if m[0] == "vote"})

    def values(self):
        return sorted({m[3] for m in self.log if m[0] == "vote"}, key=str)

    def total(self):
        return sum(self.powers.values())

    def power_of(self, senders):
        return sum(self.powers[sender] for sender in senders if sender in self.powers)

    def senders(self, types, round_, values):
        return {m[4] for m in self.log if m[0] == "vote" and m[1] in types and m[2] == round_ and m[3] in values}

    def quorum(self, type_, round_, value):  # 2f+1 ⟨type, round, value⟩
        return self.power_of(self.senders([type_], round_, [value])) * 3 > 2 * self.total()

    def any_quorum(self, type_, round_):  # 2f+1 ⟨type, round, *⟩
        return self.power_of(self.senders([type_], round_, self.values())) * 3 > 2 * self.total()

    def accepted(self, value):
        for m in self.log:
            if m[0] == "verdict" and m[1] == value and m[3]:
                return m
        return None

    def validity(self, proposal):
        _, _, value, _, parts, _ = proposal
        block = self.accepted(value)
        if block:
            return "valid" if block[2] == parts else "invalid"
        return "invalid" if ("verdict", value, parts, False) in [m[:4] for m in self.log] else "unknown"

    def timely(self, proposal):
        _, round_, value, _, _, received_ms = proposal
        stamped_ms = self.accepted(value)[4] * 1000
        delay_ms = min(floor(self.delay_ms * Fraction(11, 10) ** round_), DAY_MS)
        return stamped_ms - self.precision_ms <= received_ms <= stamped_ms + 999 + delay_ms + self.precision_ms

    def proposals(self):
        return [m for m in self.log if m[0] == "proposal" and m[1] == self.round]

    # --- outputs ------------------------------------------------------------------------------------------------------

    def vote(self, type_, value):
        if self.own is not None and not self.senders([type_], self.round, self.values()) & {self.own}:
            self.outputs.append((type_, self.round, value))

    def timer(self, kind):
        self.outputs.append(("timer", kind, self.round))

    def start_round(self, round_):  # L11
        self.round, self.step = round_, "propose"  # L12, L13
        self.move_far()
        if self.own is not None and self.proposer(round_) == self.own:  # L14
            if self.valid_value is not NOTHING:  # L15
                self.done.add(("proposed", round_))
                self.outputs.append(("propose", round_, self.valid_value, self.valid_round))  # L16, L19
                return
            self.outputs.append(("build", round_))  # L18
        self.timer("propose")  # L21

    # --- rules --------------------------------------------------------------------------------------------------------

    def run_rules(self):
        while self.step != "commit" and any(getattr(self, rule)() for rule in RULES):
            pass
        outputs, self.outputs = self.outputs, []
        return outputs

    def line_49(self):
        for round_ in self.rounds():
            for value in self.values():
                if value is not None and self.quorum("precommit", round_, value) and self.accepted(value):
                    when = "past" if round_ < self.round else "present" if round_ == self.round else "future"
                    self.lines.append(f"L49 {when} round")
                    self.decision = value, round_
                    self.step = "commit"
                    self.outputs.append(("decide", round_, value))
                    return True
        return False

    def lines_22_to_33(self):
        for proposal in self.proposals() if self.step == "propose" else []:
            _, _, value, pol_round, _, _ = proposal
            validity = self.validity(proposal)
            if validity == "unknown":
                continue
            is_valid = validity == "valid"
            if pol_round == -1:  # L22
                is_free = self.locked_round == -1 or self.locked_value == value
                reason = "refused" if not is_valid else "untimely" if not self.timely(proposal) else "voted"
                self.lines.append(f"L22 {reason}" + ("" if is_free else ", locked on another"))
                self.vote("prevote", value if is_valid and self.timely(proposal) and is_free else None)  # L23 to L26
            elif self.quorum("prevote", pol_round, value):  # L28
                is_free = self.locked_round <= pol_round or self.locked_value == value
                self.lines.append(f"L28 {'voted' if is_valid else 'refused'}" + ("" if is_free else ", locked later"))
                if self.locked_round != -1 and self.locked_value != value and is_free:
                    self.lines.append(f"L29 {'equal round' if self.locked_round == pol_round else 'older lock'}")
                self.vote("prevote", value if is_valid and is_free else None)  # L29 to L32
            else:
                continue
            self.step = "prevote"  # L27, L33
            return True
        return False

    def line_36(self):
        if self.step not in ("prevote", "precommit") or ("L36", self.round) in self.done:
            return False
        for proposal in self.proposals():
            value = proposal[2]
            if self.validity(proposal) == "valid" and self.quorum("prevote", self.round, value):
                self.done.add(("L36", self.round))
                relock = "" if self.locked_round == -1 else ", relock" if self.locked_value == value else ", other lock"
                self.lines.append(f"L36 in {self.step}{relock}")
                if self.step == "prevote":  # L37
                    self.locked_value, self.locked_round = value, self.round  # L38, L39
                    self.vote("precommit", value)  # L40
                    self.step = "precommit"  # L41
                self.valid_value, self.valid_round = value, self.round  # L42, L43
                return True
        return False

    def line_44(self):
        if self.step != "prevote" or not self.quorum("prevote", self.round, None):
            return False
        self.lines.append("L44")
        self.vote("precommit", None)  # L45
        self.step = "precommit"  # L46
        return True

    def line_34(self):
        if self.step != "prevote" or ("L34", self.round) in self.done or not self.any_quorum("prevote", self.round):
            return False
        self.lines.append("L34")
        self.done.add(("L34", self.round))
        self.timer("prevote")  # L35
        return True

    def line_47(self):
        if ("L47", self.round) in self.done or not self.any_quorum("precommit", self.round):
            return False
        self.lines.append("L47")
        self.done.add(("L47", self.round))
        self.timer("precommit")  # L48
        return True

    def line_55(self):
        for round_ in reversed(self.rounds()):
            senders = self.senders(["prevote", "precommit"], round_, self.values())
            if round_ > self.round and self.power_of(senders) * 3 > self.total():
                self.lines.append("L55")
                self.start_round(round_)  # L56
                return True
        return False


RULES = ("line_49", "lines_22_to_33", "line_36", "line_44", "line_34", "line_47", "line_55")
