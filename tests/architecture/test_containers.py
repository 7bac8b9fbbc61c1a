"""docker/ fits the program: what it copies exists, what it runs are commands, what it sets are settings.

No container runs here; everything a container would be told is checked against the code instead.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from cybermiles.cli.main import main
from cybermiles.node.config import load_config

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "docker/Dockerfile").read_text()
IGNORED = (ROOT / "docker/Dockerfile.dockerignore").read_text().split()
COMPOSE = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
SERVICES = COMPOSE["services"]
NODES = {name: service for name, service in SERVICES.items() if name.startswith("node")}


def parse(words):
    """Have the options read as `cmt` would read them, without running the command."""
    command, rest = main, list(words)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    return command.make_context(command.name, rest)


def instructions(keyword):
    text = DOCKERFILE.replace("\\\n", " ")
    return [line.split(None, 1)[1] for line in text.splitlines() if line.startswith(f"{keyword} ")]


def test_what_the_image_copies_exists_and_is_not_ignored():
    sources = [word for copy in instructions("COPY") if "--from" not in copy for word in copy.split()[:-1]]
    assert len(sources) >= 5
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in IGNORED
    assert IGNORED[0] == "*"


def test_the_image_installs_by_hash_and_without_a_shell_user():
    (install,) = [run for run in instructions("RUN") if "requirements.lock" in run]
    assert "--require-hashes" in install
    assert instructions("USER") == ["cmt"]
    assert all("/" not in image.split()[0] for image in instructions("FROM")), "plain image names only"


def test_the_image_runs_the_node_and_asks_it_for_its_health():
    assert json.loads(instructions("ENTRYPOINT")[0]) == ["cmt"]
    assert parse(json.loads(instructions("CMD")[-1])).info_name == "start"
    assert "/livez" in instructions("HEALTHCHECK")[0]
    config = load_config(Path("unused"), environment={})
    assert str(config.rpc.port) in instructions("HEALTHCHECK")[0]
    assert {str(config.rpc.port), str(config.p2p.listen_port)} < set(instructions("EXPOSE")[0].split())


def init_words():
    (command,) = SERVICES["init"]["command"]
    condition, words = command.split(" || ")
    assert condition.startswith("test -e /data/net/node0/genesis.json")
    program, *words = shlex.split(words)
    assert program == "cmt"
    return words


def test_the_network_is_made_by_a_command_that_exists_for_the_services_there_are(tmp_path):
    words = init_words()
    assert parse(words).info_name == "init"
    words[words.index("--output") + 1] = str(tmp_path / "net")
    made = CliRunner().invoke(main, [*words, "--json"])
    assert made.exit_code == 0, made.output
    nodes = json.loads(made.stdout)["nodes"]
    assert [node["name"] for node in nodes] == list(NODES)
    for node in nodes:
        service = NODES[node["name"]]
        config = load_config(tmp_path / "net" / node["name"], environment=service["environment"])
        assert str(config.p2p.external_address) == f"{node['name']}:26656", "peers find it by the service's name"
        assert config.p2p.listen_host == config.rpc.host == config.metrics_listen.host == "0.0.0.0"
        assert {"localhost", "127.0.0.1", *NODES} == set(config.rpc.vhosts)
        published, inside = re.fullmatch(r"127\.0\.0\.1:(\d+):(\d+)", *service["ports"]).groups()
        assert int(inside) == config.rpc.port
        assert int(published) == 8545 + list(NODES).index(node["name"])


@pytest.mark.parametrize("name", NODES)
def test_every_node_starts_from_its_own_home_and_is_stopped_with_patience(name):
    service = NODES[name]
    context = parse(service["command"])
    assert context.info_name == "start"
    assert context.params["home"] == Path(f"/data/net/{name}")
    assert service["depends_on"] == {"init": {"condition": "service_completed_successfully"}}
    assert int(service["stop_grace_period"].removesuffix("s")) > 10
    assert service["volumes"] == SERVICES["init"]["volumes"] == ["net:/data"]
    assert list(COMPOSE["volumes"]) == ["net"]


def test_the_image_is_built_once_for_all():
    build = SERVICES["init"]["build"]
    assert (ROOT / "docker" / build["context"] / build["dockerfile"]).resolve() == ROOT / "docker/Dockerfile"
    assert {service["image"] for service in SERVICES.values()} == {"cybermiles"}
