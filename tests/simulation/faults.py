"""Every kind of fault that the simulation can inject. The gate fails when one of them never happened."""

from __future__ import annotations

from tests.simulation.adversary import NOISES, PROPOSAL_STYLES, VOTE_STYLES
from tests.simulation.node_world import SYNC_ANSWERS
from tests.simulation.plan import SCRIPTS

COMMON = (
    "drop",
    "duplicate",
    "reorder",
    "partition",
    "churn",
    "bandwidth",
    "latency: uniform",
    "latency: exponential",
    "latency: heavy",
    "latency: zones",
    "crash",
    "crash at a disk operation",
    "crash with loss of unsynced log",
    "crash of a locked node",
    "clock skew",
    "clock jump",
    "slow disk",
    "slow application",
    "kept back",
    "late polka",
    "rubbish under a good hash",
    "evidence",
    *(f"script: {script}" for script in SCRIPTS),
    *(f"byzantine votes: {style}" for style in VOTE_STYLES),
    *(f"byzantine proposal: {style}" for style in (*PROPOSAL_STYLES, "fresh")),
    *(f"byzantine noise: {noise}" for noise in NOISES),
)
CORE_FAULTS = (
    *COMMON,
    "sync",
    "timeout: propose",
    "timeout: prevote",
    "timeout: precommit",
    "timeout: rebroadcast",
)
NODE_FAULTS = (
    *COMMON,
    "connection reset",
    "queue overflow",
    "torn write",
    "process killed",
    "peer dropped for an offence",
    "evidence in a block",
    "block synced",
    "transactions in a block",
    *(f"byzantine sync: {answer}" for answer in SYNC_ANSWERS),
)
REAL_FAULTS = ("transactions in a block", "evidence in a block", "block synced", "crash at a disk operation")
"""Few schedules run the real application; these show that its part was played."""
