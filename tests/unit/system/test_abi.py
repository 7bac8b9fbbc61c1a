"""ABIs as solc wrote them: selectors, events, errors, what is refused, and that the shipped files are the sources'."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import eth_abi
import pytest

from cybermiles.chain.predeploys import SYSTEM_CONTRACTS
from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import ConfigError
from cybermiles.system.abi import Mutability, load_abi, parse_abi
from cybermiles.system.codec import EncodingError
from cybermiles.system.errors import INTERFACES, shared_errors

ROOT = Path(__file__).parents[3]
SYSTEM = ROOT / "cybermiles" / "system"
MODULES = Path(os.environ.get("NODE_MODULES", ROOT / "tests" / "e2e" / "node" / "node_modules"))


def test_there_is_an_interface_for_every_system_contract_and_a_file_for_every_source():
    assert len(INTERFACES) == len(SYSTEM_CONTRACTS)
    assert sorted(INTERFACES) == sorted(path.stem for path in (SYSTEM / "sol").glob("*.sol"))
    assert sorted(INTERFACES) == sorted(path.stem for path in (SYSTEM / "abi").glob("*.json"))


def test_the_shipped_abis_are_compiled_from_the_shipped_sources(tmp_path):
    node = shutil.which("node")
    if node is None or not (MODULES / "solc").is_dir():
        pytest.skip("needs node and npm's solc; set NODE_MODULES or run `make test` where npm is")
    subprocess.run(
        [node, SYSTEM / "sol" / "compile.mjs", tmp_path],
        env=os.environ | {"NODE_MODULES": str(MODULES)},
        check=True,
        capture_output=True,
        timeout=120,
    )
    for name in INTERFACES:
        compiled, shipped = ((folder / f"{name}.json").read_text() for folder in (tmp_path, SYSTEM / "abi"))
        assert json.loads(compiled) == json.loads(shipped), f"run node cybermiles/system/sol/compile.mjs for {name}"


@pytest.mark.parametrize("name", INTERFACES)
def test_selectors_and_topics_are_hashes_of_signatures(name):
    abi = load_abi(name)
    selectors = [f.selector for f in abi.functions.values()]
    assert len(set(selectors)) == len(selectors)
    for function in abi.functions.values():
        assert function.selector == keccak256(function.signature.encode())[:4]
    for event in abi.events.values():
        assert event.topic == keccak256(event.signature.encode())
        assert sum(indexed for _, indexed in event.inputs) <= 3


def test_known_selectors():
    staking = load_abi("ICmtStaking").functions
    assert staking["delegate"].selector.hex() == "5c19a95c"
    assert staking["undelegate"].selector.hex() == "4d99dd16"
    assert staking["delegate"].mutability is Mutability.PAYABLE
    assert staking["declareCandidacy"].signature == (
        "declareCandidacy(bytes,bytes,uint256,uint32,(string,string,string,string,string))"
    )
    assert load_abi("ICmtGovernance").functions["vote"].selector.hex() == "943e8216"


def test_enums_of_the_shipped_abis_have_their_members():
    vote = load_abi("ICmtGovernance").functions["vote"]
    vote.encode_call(1, 2)
    with pytest.raises(EncodingError):
        vote.encode_call(1, 200)


def test_errors_of_one_name_have_one_signature():
    assert shared_errors()
    for name in INTERFACES:
        for error in load_abi(name).errors.values():
            assert shared_errors()[error.name].signature == error.signature
            assert shared_errors()[error.name].selector == keccak256(error.signature.encode())[:4]


def test_an_unknown_interface_is_a_broken_installation():
    with pytest.raises(ConfigError, match="reinstall"):
        load_abi("ICmtNothing")


def event(*inputs):
    entry = {
        "type": "event", "name": "E", "anonymous": False,
        "inputs": [{"name": "x", "type": kind, "internalType": kind, "indexed": indexed} for kind, indexed in inputs],
    }  # fmt: skip
    return parse_abi("I", [entry], {}).events["E"]


def test_events_put_indexed_words_into_topics_and_the_rest_into_data():
    found = event(("address", True), ("string", False), ("uint8", True), ("uint256", False))
    who = bytes(range(20))
    topics, data = found.encode((who, "text", 7, 9))
    assert topics == (keccak256(b"E(address,string,uint8,uint256)"), who.rjust(32, b"\0"), (7).to_bytes(32))
    assert data == eth_abi.encode(["string", "uint256"], ["text", 9])
    for wrong in ((who, "text", 7), (who, "text", 7, 9, 10), (who, "text", 256, 9)):
        with pytest.raises(EncodingError):
            found.encode(wrong)


@pytest.mark.parametrize("kind", ["string", "bytes", "uint8[]", "uint8[2]"])
def test_an_indexed_argument_is_one_word(kind):
    with pytest.raises(ConfigError, match="not one word"):
        event((kind, True))


def entry(**changes):
    return {"type": "function", "name": "f", "inputs": [], "outputs": [], "stateMutability": "view"} | changes


@pytest.mark.parametrize(
    "entries",
    [
        [entry(), entry(inputs=[{"name": "x", "type": "bool", "internalType": "bool"}])],
        [entry(), entry(type="error")],
        [entry(), entry(type="event")],
    ],
)
def test_overloaded_names_are_refused(entries):
    with pytest.raises(ConfigError, match="more than one f"):
        parse_abi("I", entries, {})


def test_what_an_interface_does_not_have_is_refused():
    with pytest.raises(ConfigError, match="constructor"):
        parse_abi("I", [entry(type="constructor")], {})
