"""`cmt conformance serve` as a process: it serves, and says what is wrong with a file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request

import pytest

from tests.fakes.foreign import mine

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("foreign")
    genesis, chain, blocks = mine()
    (folder / "genesis.json").write_bytes(genesis)
    (folder / "chain.rlp").write_bytes(chain)
    (folder / "torn.rlp").write_bytes(chain[:-1])
    return folder, blocks


def command(folder, chain):
    return [
        sys.executable, "-m", "cybermiles", "conformance", "serve", "--genesis", str(folder / "genesis.json"),
        "--chain", str(folder / chain), "--port", "0", "--json",
    ]  # fmt: skip


def test_a_foreign_chain_is_served_until_sigterm(files):
    folder, blocks = files
    process = subprocess.Popen(command(folder, "chain.rlp"), stdout=subprocess.PIPE, text=True)
    try:
        lines = []
        while not lines or lines[-1] != "}\n":
            lines.append(process.stdout.readline())
            assert lines[-1], f"it ended with {process.wait()}"
        banner = json.loads("".join(lines))
        assert (banner["chain_id"], banner["height"]) == (1, len(blocks))
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}).encode()
        request = urllib.request.Request(banner["rpc"], body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as response:
            assert json.load(response)["result"] == hex(len(blocks))
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_torn_file_is_named(files):
    result = subprocess.run(command(files[0], "torn.rlp"), capture_output=True, text=True)
    assert result.returncode != 0
    assert "the chain file: block 28 cannot be decoded" in result.stderr + result.stdout
