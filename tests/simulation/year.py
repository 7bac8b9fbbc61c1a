"""A year of blocks in compressed time: minted = the schedule, paid = minted + fees - carried, to the wei.

    python -m tests.simulation.year --blocks 100000

Every block of the year has the same distance from the next (365 days / blocks), rounded to whole seconds without drift.
Members are absent now and then, and delegators come and go.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

from cybermiles.chain.issuance import SECONDS_PER_YEAR, minted_between, supply_at, supply_at_year
from cybermiles.chain.networks import network_genesis
from cybermiles.chain.params import ChainParams
from cybermiles.staking.supply import total_supply
from tests.fakes.staking import CMT, Staking, account


@dataclass
class Year:
    blocks: int
    minted: int
    scheduled: int
    fees: int
    paid: int
    carried: int
    sets: int
    seconds: float


def run_year(blocks: int, members: int = 24) -> Year:
    """Run the first year of the schedule and return its sums."""
    schedule = network_genesis("mainnet").issuance
    economy = Staking(
        ChainParams(absence_window=1_000, max_absences=900), founders=members, accounts=members + 10, cap=10**28
    )
    fees = paid = sets = 0
    last = schedule.genesis_time
    began = time.perf_counter()
    for block in range(1, blocks + 1):
        now = schedule.genesis_time + block * SECONDS_PER_YEAR // blocks
        before = economy.current
        if block % 97 == 0:
            holder = members + block % 9
            economy.delegate(holder, block % members, 3_000 * CMT)
        if block % 389 == 0 and economy.ledger.candidates:
            holder = members + block % 9
            _leave(economy, holder, block % members)
        fee = block % 7 * 10**15
        economy._move(account(members + 9), fee)
        absent = [block % members] if block % 3 == 0 else ()
        paid += economy.end(seconds=now - last, minted=minted_between(schedule, last, now), absent=absent)
        fees += fee
        sets += economy.current is not before
        last = now
    end = schedule.genesis_time + SECONDS_PER_YEAR
    if total_supply(economy.storage) != economy.minted:
        raise AssertionError("the contract counts another mint")
    if supply_at(schedule, end) != supply_at_year(schedule, 1):
        raise AssertionError("the schedule disagrees with itself")
    return Year(
        blocks=blocks, minted=economy.minted, scheduled=supply_at_year(schedule, 1) - schedule.genesis_supply,
        fees=fees, paid=paid, carried=economy.state.pot, sets=sets, seconds=time.perf_counter() - began,
    )  # fmt: skip


def _leave(economy, holder, validator):
    from cybermiles.errors import Refusal
    from cybermiles.staking.delegations import ALL

    try:
        economy.undelegate(holder, validator, ALL)
    except Refusal:
        return


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=100_000)
    year = run_year(parser.parse_args().blocks)
    print(year)
    if year.minted != year.scheduled or year.paid != year.minted + year.fees - year.carried:
        raise SystemExit("not to the wei")
    print("minted = scheduled and paid = minted + fees - carried, to the wei")


if __name__ == "__main__":
    main()
