"""docs/spec and genesis/README.md say what the code does: their tables are compared with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cybermiles.chain.issuance import supply_at_year
from cybermiles.chain.networks import NETWORKS, network_genesis
from cybermiles.chain.params import PARAM_SPECS, ChainParams, params_from_strings
from cybermiles.chain.predeploys import predeployed_code
from cybermiles.chain.reading import checksum
from cybermiles.crypto.hashing import keccak256
from cybermiles.execution.genesis import genesis_block

ROOT = Path(__file__).parents[3]


def table(page, first_column):
    """The rows, without backticks, of the table whose header starts with a column."""
    lines = iter((ROOT / page).read_text(encoding="utf-8").splitlines())
    header = next(line for line in lines if line.startswith(f"| {first_column} |"))
    assert next(lines).count("---") == header.count("|") - 1
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    return rows


def test_the_table_of_parameters_is_the_codes():
    values = ChainParams().to_strings()
    rows = table("docs/spec/genesis.md", "name")
    assert [row[:3] for row in rows] == [[name, spec.unit, values[name]] for name, spec in PARAM_SPECS.items()]
    for name, _, _, least, largest in rows:
        spec = PARAM_SPECS[name]
        as_text = [
            f"{v.numerator}/{v.denominator}" if "/" in values[name] else str(v) for v in (spec.minimum, spec.maximum)
        ]
        assert [least, largest] == as_text
    assert params_from_strings({name: value for name, _, value, _, _ in rows}) == ChainParams()


def test_the_table_of_predeploys_is_the_codes():
    codes = predeployed_code()
    rows = table("docs/spec/genesis.md", "address")
    assert [(row[0], row[2]) for row in rows] == [(checksum(a), "0x" + keccak256(c).hex()) for a, c in codes.items()]


def test_the_ten_years_of_issue_are_the_schedules():
    schedule = network_genesis("mainnet").issuance
    rows = [[int(cell.replace(" ", "")) for cell in row] for row in table("docs/spec/issuance.md", "year")]
    assert [year for year, _, _ in rows] == list(range(11))
    for year, start, minted in rows:
        assert start == supply_at_year(schedule, year)
        assert minted == supply_at_year(schedule, year + 1) - start


def test_the_stated_difference_to_an_award_per_block_is_right():
    blocks = 3_153_600
    by_block, exact, award = 10**27, 10**27, 0
    for year in range(10):
        award = by_block * 8 // 100 // blocks
        if year == 0:
            assert exact * 8 // 100 - award * blocks == 1_419_200
        if year == 8:
            assert award == 46_954_089_555_603_287_670
            assert exact * 8 // 100 // blocks == award + 1
        by_block += award * blocks
        exact += exact * 8 // 100
    assert exact - by_block == 23_494_400
    assert "23 494 400 wei" in (ROOT / "docs/spec/issuance.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("network", NETWORKS)
def test_the_stated_hashes_are_those_of_the_shipped_documents(network):
    document = network_genesis(network)
    header = genesis_block(document).header
    files = {row[0].split("`")[0]: row[1:] for row in table("genesis/README.md", "document")}
    assert files[f"{network}.json"] == [str(document.chain_id), f"0x{document.hash.hex()}"]
    page = (ROOT / "genesis/README.md").read_text(encoding="utf-8")
    assert f"| `{network}.json` | `0x{header.hash.hex()}` | `0x{header.state_root.hex()}` |" in page
