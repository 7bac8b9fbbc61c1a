"""tendermint-rs' light client cases, their verdicts kept and their blocks rebuilt in this chain's types.

Kept are heights, times, who is in which set with which power, and who signed; keys are derived from the original
ones, and blocks are linked and signed anew.
"""

from __future__ import annotations

import calendar
import dataclasses
import gzip
import json
import os
import time
from pathlib import Path

import pytest

from cybermiles.sync.light_client import (
    Bisection,
    Divergence,
    InvalidLightBlock,
    NotEnoughTrust,
    TrustExpired,
    check_witness,
    trust,
    verify_light_block,
)
from cybermiles.types.commit import Commit
from cybermiles.types.primitives import ZERO_HASH
from cybermiles.types.validator import ValidatorSet
from tests.fakes.light_blocks import light_block, member, options, sign

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("CMT_VECTORS", ROOT.parent / "shared" / "vectors")) / "consensus" / "light-client"
FILES = sorted(FOLDER.glob("*.json.gz"))
STEPS = [path for path in FILES if path.name.startswith("MC")]
PATHS = [path for path in FILES if not path.name.startswith("MC")]
pytestmark = pytest.mark.skipif(not FILES, reason=f"no light client vectors in {FOLDER}; set CMT_VECTORS")


def load(path):
    return json.loads(gzip.decompress(path.read_bytes()))


def seconds(text):
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))


def validator_set(item):
    return ValidatorSet(
        tuple(member(v["pub_key"]["value"], int(v["voting_power"])) for v in item["validators"])
        or (member("nobody", 1),)
    )


def rebuilt(item, *, parent=ZERO_HASH):
    """Return our light block: who signed there signs here; signatures that belong to nobody stay extra."""
    original = item["signed_header"]
    height, when = int(original["header"]["height"]), seconds(original["header"]["time"])
    validators, following = validator_set(item["validator_set"]), validator_set(item["next_validator_set"])
    block = light_block(
        height, when, validators, following, parent=parent, salt=original["commit"]["block_id"]["hash"].encode()
    )
    owners = {v["address"]: member(v["pub_key"]["value"]).consensus_key for v in item["validator_set"]["validators"]}
    votes = original["commit"]["signatures"]
    signers = {owners.get(vote["validator_address"]) for vote in votes if vote["block_id_flag"] == 2}
    signatures = [
        sign(v, height, block.header.hash) if v.consensus_key in signers else None for v in validators.validators
    ]
    signatures += [None] * (len(votes) - len(signatures))
    return dataclasses.replace(block, commit=Commit(height, 0, block.header.hash, tuple(signatures)))


VERDICTS = {"SUCCESS": None, "NOT_ENOUGH_TRUST": NotEnoughTrust, "INVALID": InvalidLightBlock}


@pytest.mark.parametrize("path", STEPS, ids=lambda path: path.name.split(".")[0])
def test_every_step_has_its_verdict(path):
    case = load(path)
    initial = case["initial"]
    first = initial["signed_header"]["header"]
    following = validator_set(initial["next_validator_set"])
    trusted = trust(light_block(int(first["height"]), seconds(first["time"]), following, following))
    rules = options(trusting_period=int(initial["trusting_period"]) // 10**9)
    for step in case["input"]:
        block, now = rebuilt(step["block"], parent=trusted.block_hash), seconds(step["now"])
        expected = VERDICTS[step["verdict"]]
        if expected is None:
            trusted = verify_light_block(trusted, block, rules, now)
        else:
            with pytest.raises(expected):
                verify_light_block(trusted, block, rules, now)


def provider(item):
    blocks = {}
    parent = ZERO_HASH
    for entry in sorted(item["lite_blocks"], key=lambda e: int(e["signed_header"]["header"]["height"])):
        block = rebuilt(entry, parent=parent)
        blocks[block.height] = block
        parent = block.header.hash
    return blocks


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name.split(".")[0])
def test_every_path_ends_as_it_does_there(path):
    case = load(path)
    primary, witnesses = provider(case["primary"]), [provider(w.get("value", w)) for w in case["witnesses"] or ()]
    options_ = case["trust_options"]
    level = (int(options_["trust_level"]["numerator"]), int(options_["trust_level"]["denominator"]))
    rules = options(trusting_period=int(options_["period"]) // 10**9, trust_level=level)
    now, target = seconds(case["now"]), int(case["height_to_verify"])

    def run():
        bisection = Bisection(trust(primary[int(options_["height"])]), target, rules)
        asked = 0
        while (height := bisection.wanted) is not None:
            asked += 1
            bisection.supply(primary[height], now)
        for witness in witnesses:
            check_witness(bisection.verified, witness[target])
        return asked

    if case["expected_output"] == "no error":
        assert run() >= case["expected_num_of_bisections"]
    else:
        with pytest.raises(TrustExpired if "trusting_period" in path.name else Divergence):
            run()
