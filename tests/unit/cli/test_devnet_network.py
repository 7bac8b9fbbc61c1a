"""cmt devnet up, down, status, logs: what can be said without a running node."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from cybermiles.cli import processes
from cybermiles.cli.main import main
from cybermiles.cli.output import CommandError
from cybermiles.node.testnet import find_homes


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments], env={"CMT_HOME": None, "CMT_DEVNET": None})
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def net(tmp_path):
    run("testnet", "init", "--validators", 2, "--output", tmp_path / "net")
    return tmp_path / "net"


@pytest.mark.parametrize("command", ["status", "logs"])
def test_without_a_network_the_commands_say_how_to_get_one(tmp_path, command):
    assert "cmt devnet up" in run("devnet", command, "--directory", tmp_path, code=1).stderr


def test_stopping_what_is_not_there_is_no_error(tmp_path):
    data = json.loads(run("devnet", "down", "--directory", tmp_path, "--json").stdout)
    assert (data["stopped"], data["killed"]) == (0, [])


def test_status_shows_what_is_stopped_and_says_so_by_its_code(net):
    result = run("devnet", "status", "--directory", net, "--json", code=1)
    nodes = json.loads(result.stdout)["nodes"]
    assert [(n["name"], n["rpc"], n["process"], n["height"]) for n in nodes] == [
        ("node0", "http://127.0.0.1:8545", None, None),
        ("node1", "http://127.0.0.1:8546", None, None),
    ]
    assert "node1   http://127.0.0.1:8546  stopped" in run("devnet", "status", "--directory", net, code=1).stdout


def test_a_network_of_another_size_is_not_replaced(net):
    error = run("devnet", "up", "--validators", 3, "--directory", net, code=78).stderr
    assert "a network of 2 validators, not 3" in error
    assert len(find_homes(net)) == 2


def test_down_deletes_homes_only_when_asked_to(net):
    run("devnet", "down", "--directory", net)
    assert len(find_homes(net)) == 2
    run("devnet", "down", "--directory", net, "--delete")
    assert find_homes(net) == ()


def test_logs_are_told_apart_by_node(net):
    for number in (0, 1):
        (net / f"node{number}" / "node.log").write_text("".join(f"line {n} of {number}\n" for n in range(5)))
    assert run("devnet", "logs", "--directory", net, "-n", 2).stdout.splitlines() == [
        "node0 | line 3 of 0",
        "node0 | line 4 of 0",
        "node1 | line 3 of 1",
        "node1 | line 4 of 1",
    ]
    (only,) = run("devnet", "logs", "--directory", net, "-n", 1, "--node", "node1", "--json").stdout.splitlines()
    assert json.loads(only) == {"node": "node1", "line": "line 4 of 1"}
    assert run("devnet", "logs", "--directory", net, "-n", 0).stdout == ""
    assert (
        "there is no node7; there are node0, node1"
        in run("devnet", "logs", "--directory", net, "--node", "node7", code=1).stderr
    )


def test_the_end_of_a_long_log_is_read_without_the_rest(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"\xff" * 200_000 + b"\nlast but one\nlast\n")
    assert processes.last_lines(path, 2) == ["last but one", "last"]
    assert processes.last_lines(tmp_path / "missing", 2) == []


def test_following_yields_whole_lines_of_every_file(tmp_path):
    paths = {"a": tmp_path / "a", "b": tmp_path / "b"}
    paths["a"].write_text("old\n")
    lines = processes.follow(paths)

    def write(name, text):
        with paths[name].open("a") as file:
            file.write(text)

    write_steps = iter(
        [lambda: write("b", "new file\nhalf"), lambda: write("b", " a line\n"), lambda: write("a", "x\n")]
    )

    def step(_):
        next(write_steps)()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes.time, "sleep", step)
        assert [next(lines) for _ in range(3)] == [("b", "new file"), ("b", "half a line"), ("a", "x")]


def test_a_nodes_settings_come_from_its_home_and_not_from_the_callers_environment(net, monkeypatch):
    monkeypatch.setenv("CMT_RPC__PORT", "1")
    (home, _) = find_homes(net)
    assert processes.rpc_url(home) == "http://127.0.0.1:8545"


def test_a_node_that_cannot_start_is_reported_with_the_end_of_its_log(net):
    (home, _) = find_homes(net)
    processes.log_path(home).write_text("first\nError: no room\n")
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(74)"])
    process.wait()
    with pytest.raises(CommandError, match=r"node0 ended with code 74(.|\n)*Error: no room"):
        processes.wait_until_serving(home, process)


STUBBORN = """
import fcntl, os, signal, sys, time
file = open(sys.argv[1], "a+"); fcntl.flock(file, fcntl.LOCK_EX); file.truncate(0)
file.write(str(os.getpid())); file.flush()
if sys.argv[2] == "stubborn": signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(("manner", "killed"), [("polite", []), ("stubborn", ["node0"])])
def test_nodes_are_asked_to_stop_and_killed_only_if_they_do_not(net, monkeypatch, manner, killed):
    monkeypatch.setattr(processes, "STOP_SECONDS", 5 if manner == "polite" else 0.3)
    homes = find_homes(net)
    with subprocess.Popen(
        [sys.executable, "-c", STUBBORN, str(homes[0].home / "node.lock"), manner], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        assert homes[0].running_process() == process.pid
        assert processes.stop(homes) == killed
        assert homes[0].running_process() is None
        assert process.wait() == (-9 if killed else -15)


def test_a_stale_process_id_belongs_to_nobody(net):
    (home, _) = find_homes(net)
    (home.home / "node.lock").write_text(str(os.getpid()))
    assert processes.stop([home]) == []
