"""A player of one engine's part in short words: votes and blocks are letters, senders are positions in the set.

    player = Player()                                   four validators of equal power; the engine is number 0
    player.start() == [("timer", "propose", 0)]         what it asks for, own messages already handed back to it

The own number proposes in the rounds `player.own_rounds`.
"""

from __future__ import annotations

from cybermiles.consensus.core import effects as e
from cybermiles.consensus.core import inputs as i
from cybermiles.consensus.core.engine import Engine
from cybermiles.consensus.core.timeouts import EngineSettings
from cybermiles.types.certificate import PolkaCertificate, RoundCertificate
from cybermiles.types.commit import Commit
from cybermiles.types.part_set import PartsHeader
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.rotation import first_rotation
from cybermiles.types.validator import Validator, ValidatorSet
from cybermiles.types.vote import Vote, VoteType

HEIGHT = 7
STAMP = 1_700_000_000
IN_TIME = STAMP * 1000 + 500
SIGNATURE = b"\x05" * 64
PREVOTE, PRECOMMIT = VoteType.PREVOTE, VoteType.PRECOMMIT
NEVER = 1_000_000
"""A round that no test reaches."""


def block_hash(letter):
    return None if letter is None else letter.encode() * 32


def letter(hash_):
    return None if hash_ is None else chr(hash_[0])


def parts_of(letter_):
    return PartsHeader(1, letter_.encode() * 32)


def members(*powers):
    """A set in which number k has the k-th power, which must not grow."""
    keys = sorted((bytes([k]) * 32 for k in range(len(powers))), key=lambda key: Validator(key, bytes(20), 1).address)
    return ValidatorSet(tuple(Validator(key, bytes(20), power) for key, power in zip(keys, powers, strict=True)))


class Player:
    def __init__(self, *powers, own=0, height=HEIGHT, is_voting=True, settings=None):
        self.members = members(*(powers or (1, 1, 1, 1)))
        self.own, self.height, self.is_voting = own, height, is_voting
        self.rotation = first_rotation(self.members)
        self.engine = Engine(None if own is None else self.members.addresses[own], settings or EngineSettings())
        self.published = []
        self.schedule = []

    @property
    def proposers(self):
        proposers = self.rotation.proposers()
        return [next(proposers) for _ in range(12)]

    @property
    def own_rounds(self):
        return [round_ for round_, proposer in enumerate(self.proposers) if proposer == self.own]

    def rotate(self, *, to_own):
        """Let the own number propose in round 0, or not before the second round after it."""
        while (self.proposers[0] == self.own) != to_own or (not to_own and self.own in self.proposers[:3]):
            self.rotation = self.rotation.advanced()
        return self

    # --- messages -----------------------------------------------------------------------------------------------------

    def vote(self, type_, round_, value, sender):
        return Vote(type_, self.height, round_, block_hash(value), self.members.addresses[sender], SIGNATURE)

    def signed(self, round_, value, pol_round=-1, parts=None):
        return SignedProposal(self.height, round_, pol_round, block_hash(value), parts_of(parts or value), SIGNATURE)

    # --- inputs -------------------------------------------------------------------------------------------------------

    def start(self):
        return self.feed(i.StartHeight(height=self.height, rotation=self.rotation, is_voting=self.is_voting))

    def prevotes(self, round_, value, *senders):
        return [o for k in senders for o in self.feed(i.VoteReceived(self.vote(PREVOTE, round_, value, k)))]

    def precommits(self, round_, value, *senders):
        return [o for k in senders for o in self.feed(i.VoteReceived(self.vote(PRECOMMIT, round_, value, k)))]

    def proposal(self, round_, value, pol_round=-1, *, parts=None, received_ms=IN_TIME):
        return self.feed(i.ProposalReceived(self.signed(round_, value, pol_round, parts), received_ms))

    def checked(self, value, *, accepted=True, parts=None, timestamp=STAMP, height=None):
        return self.feed(
            i.ValueChecked(
                height=self.height if height is None else height, block_hash=block_hash(value),
                parts=parts_of(parts or value), accepted=accepted, timestamp=timestamp,
            )
        )  # fmt: skip

    def block(self, round_, value, pol_round=-1, **options):
        """A proposal and the verdict that its block is good."""
        return self.proposal(round_, value, pol_round, **options) + self.checked(value)

    def built(self, round_, value):
        return self.feed(i.ValueBuilt(self.height, round_, block_hash(value), parts_of(value), STAMP))

    def timeout(self, kind, round_):
        return self.feed(i.TimeoutElapsed(i.TimeoutKind[kind.upper()], self.height, round_))

    def polka(self, round_, value, *senders):
        votes = tuple(self.vote(PREVOTE, round_, value, k) for k in senders)
        return self.feed(i.CertificateReceived(PolkaCertificate(self.height, round_, block_hash(value), votes)))

    def round_certificate(self, round_, *votes):
        return self.feed(i.CertificateReceived(RoundCertificate(self.height, round_, votes)))

    def commit(self, round_, value, *senders):
        signatures = tuple(SIGNATURE if k in senders else None for k in range(len(self.members.validators)))
        return self.feed(i.CommitReceived(Commit(self.height, round_, block_hash(value), signatures)))

    # --- effects ------------------------------------------------------------------------------------------------------

    def feed(self, input_):
        """Return what the engine asks for, in order; own messages go back into it like a host does."""
        outputs = []
        for effect in self.engine.handle(input_):
            match effect:
                case e.SignVote(type_, height, round_, hash_):
                    outputs.append((type_.name.lower(), round_, letter(hash_)))
                    address = self.members.addresses[self.own]
                    outputs += self.feed(i.VoteReceived(Vote(type_, height, round_, hash_, address, SIGNATURE)))
                case e.SignProposal(height, round_, pol_round, hash_, parts):
                    outputs.append(("propose", round_, letter(hash_), pol_round))
                    proposal = SignedProposal(height, round_, pol_round, hash_, parts, SIGNATURE)
                    outputs += self.feed(i.ProposalReceived(proposal, IN_TIME))
                case e.Build(_, round_):
                    outputs.append(("build", round_))
                case e.ScheduleTimeout(kind, _, round_, after_ms):
                    self.schedule.append((kind.name.lower(), round_, after_ms))
                    if kind is not i.TimeoutKind.REBROADCAST:
                        outputs.append(("timer", kind.name.lower(), round_))
                case e.Decide(commit):
                    outputs.append(("decide", commit.round, letter(commit.block_hash)))
                case e.ReportEquivocation(evidence):
                    vote = evidence.first
                    sender = self.members.position(vote.validator)
                    outputs.append(("equivocation", vote.type.name.lower(), vote.round, sender))
                case e.Publish(message):
                    self.published.append(message)
        return outputs

    @property
    def state(self):
        """Round, step, locked and valid as (letter, round)."""
        engine = self.engine
        pairs = [None if v is None else (letter(v.block_hash), v.round) for v in (engine.locked, engine.valid)]
        return engine.round, engine.step.name.lower(), *pairs
