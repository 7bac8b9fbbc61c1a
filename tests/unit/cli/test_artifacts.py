"""What Hardhat, Foundry and solc leave behind, read as one thing."""

from __future__ import annotations

import json

import pytest

from cybermiles.cli.artifacts import read_abi, read_artifact
from cybermiles.cli.contract import constructor_arguments
from cybermiles.cli.output import CommandError
from tests.unit.rpc.verification.samples import ARGUMENTS, DOCUMENT, SOURCES, VERSION, metadata

FOUND = DOCUMENT["contracts"]["Vault"]
CODE = FOUND["evm"]["bytecode"]["object"]
OUTPUT = {"contracts": {"Vault.sol": {"Vault": FOUND}, "Shares.sol": {"Shares": DOCUMENT["contracts"]["Shares"]}}}


def write(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def hardhat3(root):
    write(root / "artifacts/build-info/solc-1.json", {"solcLongVersion": VERSION, "input": DOCUMENT["input"]})
    write(root / "artifacts/build-info/solc-1.output.json", {"output": OUTPUT})
    artifact = {
        "_format": "hh3-artifact-1",
        "contractName": "Vault",
        "sourceName": "contracts/Vault.sol",
        "inputSourceName": "Vault.sol",
        "buildInfoId": "solc-1",
        "abi": FOUND["abi"],
        "bytecode": "0x" + CODE,
    }
    return write(root / "artifacts/contracts/Vault.sol/Vault.json", artifact)


def hardhat2(root):
    build = {"solcLongVersion": VERSION, "input": DOCUMENT["input"], "output": OUTPUT}
    write(root / "artifacts/build-info/1.json", build)
    place = root / "artifacts/contracts/Vault.sol"
    write(place / "Vault.dbg.json", {"buildInfo": "../../build-info/1.json"})
    artifact = {"contractName": "Vault", "sourceName": "Vault.sol", "abi": FOUND["abi"], "bytecode": "0x" + CODE}
    return write(place / "Vault.json", artifact)


def foundry(root):
    for source in SOURCES.glob("*.sol"):
        write(root / source.name, source.read_text())
    artifact = {"abi": FOUND["abi"], "bytecode": {"object": "0x" + CODE}, "rawMetadata": metadata()}
    return write(root / "out/Vault.sol/Vault.json", artifact)


def build_info(root):
    return write(root / "build.json", {"solcLongVersion": VERSION, "input": DOCUMENT["input"], "output": OUTPUT})


@pytest.mark.parametrize("layout", [hardhat3, hardhat2, foundry, build_info])
def test_layouts_that_have_the_sources(tmp_path, layout):
    found = read_artifact(str(layout(tmp_path)), "Vault" if layout is build_info else None)
    assert (found.name, found.path, found.compiler) == ("Vault", "Vault.sol", VERSION)
    assert (found.code.hex(), found.abi, found.metadata) == (CODE, FOUND["abi"], metadata())
    ours, theirs = dict(found.input["settings"]), dict(DOCUMENT["input"]["settings"])
    assert found.input["sources"] == DOCUMENT["input"]["sources"]
    for name in ("optimizer", "evmVersion", "libraries"):
        assert ours[name] == theirs[name]


def test_layouts_that_have_code_alone(tmp_path):
    output = write(tmp_path / "output.json", OUTPUT)
    assert read_artifact(str(output), "Vault.sol:Vault").compiler == VERSION
    assert read_artifact(str(output), "Vault").input is None
    write(tmp_path / "Vault.abi", FOUND["abi"])
    plain = read_artifact(str(write(tmp_path / "Vault.bin", CODE + "\n")))
    assert (plain.code.hex(), plain.abi) == (CODE, FOUND["abi"])
    assert read_artifact("0x6000").code == b"\x60\x00"
    assert read_abi(str(tmp_path / "Vault.abi")) == read_abi(str(hardhat2(tmp_path))) == FOUND["abi"]


def test_a_foundry_project_whose_sources_are_gone_still_has_code(tmp_path):
    path = foundry(tmp_path)
    (tmp_path / "Shares.sol").unlink()
    found = read_artifact(str(path))
    assert (found.code.hex(), found.input) == (CODE, None)


def test_constructor_arguments_are_typed_by_the_abi(tmp_path):
    found = read_artifact(str(hardhat2(tmp_path)))
    assert constructor_arguments(found, ("2500", "vault")) == ARGUMENTS
    with pytest.raises(CommandError, match=r"constructor\(uint256,string\) takes 2 arguments, not 1"):
        constructor_arguments(found, ("2500",))
    with pytest.raises(CommandError, match="without an ABI"):
        constructor_arguments(read_artifact("0x6000"), ("1",))


@pytest.mark.parametrize(
    ("content", "contract", "message"),
    [
        ("{}", None, "is not an artifact of Hardhat or Foundry"),
        ("[]", None, "is not an artifact"),
        ("not json", None, "is not JSON"),
        (json.dumps(OUTPUT), None, "2 such contracts; name one with --contract: Vault.sol:Vault, Shares.sol:Shares"),
        (json.dumps(OUTPUT), "Nothing", "0 such contracts"),
    ],
)
def test_what_is_no_artifact(tmp_path, content, contract, message):
    with pytest.raises(CommandError, match=message):
        read_artifact(str(write(tmp_path / "a.json", content)), contract)


@pytest.mark.parametrize(("code", "message"), [("0x", "abstract"), ("0x60__$abc$__", "libraries")])
def test_code_that_cannot_be_deployed(code, message):
    with pytest.raises(CommandError, match=message):
        _ = read_artifact(code).code
