"""What consensus counts. Names are CometBFT's where it has the metric, so that its dashboards carry over."""

from __future__ import annotations

from dataclasses import dataclass

from cybermiles.runtime.metrics import BYTES, Counter, Gauge, Histogram, counter, gauge, histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusMetrics:
    """Below `cmt_consensus_`."""

    height: Gauge = gauge()
    """Height being decided."""
    latest_block_height: Gauge = gauge()
    """Height of the newest committed block."""
    rounds: Gauge = gauge()
    """Round of the height being decided; above 0 a proposer was late, absent or refused."""
    rounds_entered_total: Counter = counter()
    """Rounds above 0 entered, over all heights."""
    step_duration_seconds: Histogram = histogram("step")
    """Time spent in one step of a round."""
    round_duration_seconds: Histogram = histogram()
    """Time from entering a round to leaving it."""
    decision_seconds: Histogram = histogram()
    """Time from a height's first proposal, own or received, to the height being decided and durable."""
    block_interval_seconds: Histogram = histogram()
    """Time between the header times of two successive blocks; whole seconds."""
    num_txs: Gauge = gauge()
    """Transactions in the newest block."""
    total_txs: Gauge = gauge()
    """Transactions in all blocks committed since the start of the process."""
    block_size_bytes: Histogram = histogram(buckets=BYTES)
    """Wire bytes of the transactions of committed blocks."""
    validators: Gauge = gauge()
    """Validators that decide the current height."""
    validators_power: Gauge = gauge()
    """Their power together."""
    validator_power: Gauge = gauge()
    """This node's power; 0 where it is no validator of the current height."""
    validator_last_signed_height: Gauge = gauge()
    """Newest committed height whose stored commit has this node's signature."""
    validator_missed_blocks_total: Counter = counter()
    """Committed heights, since the start of the process, whose stored commit lacks this node's signature."""
    missing_validators: Gauge = gauge()
    """Validators whose signature the newest block's commit of its parent lacks."""
    missing_validators_power: Gauge = gauge()
    """Their power together."""
    byzantine_validators: Gauge = gauge()
    """Validators that the newest block proves to have signed twice."""
    byzantine_validators_power: Gauge = gauge()
    """Their power together."""
    committed_evidence_total: Counter = counter()
    """Proofs of signing twice in the blocks committed since the start of the process."""
    round_voting_power_percent: Gauge = gauge("vote_type")
    """Share of the power whose vote of the current round has arrived, 0 to 100."""
    proposal_create_total: Counter = counter()
    """Proposals this node published."""
    proposal_receive_total: Counter = counter()
    """Proposals received from peers and verified."""
    votes_received_total: Counter = counter("vote_type")
    """Votes received from peers that were news and verified."""
    late_votes_total: Counter = counter("vote_type")
    """Verified votes of a height or round that this node had left already."""
    block_parts_received_total: Counter = counter()
    """Block parts received from peers that were news and verified."""
    rejected_messages_total: Counter = counter()
    """Messages of peers with a wrong signature or proof, or proposing a block that is not valid."""
