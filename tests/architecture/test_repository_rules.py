"""Each rule finds what was planted. Samples are put together here, because this file is checked too."""

from __future__ import annotations

import pytest

from tests.architecture import repository_rules as rules

HASH = "    --hash=sha256:" + "ab" * 32
GOOD_LOCK = f"rlp==5.0.0 \\\n{HASH} \\\n{HASH}\n    # via\n    #   py-evm\npyrevm==0.3.7 ; python_full_version < '3.13' \\\n{HASH}\n"
INDEX = "https:" + "//index.example/simple"


@pytest.mark.parametrize(
    "host", ["py" + "pi.org", "files.python" + "hosted.org", "registry.npm" + "js.org", "--index-url " + INDEX]
)
def test_a_registry_host_is_found(host):
    assert len(rules.registry_hosts(f"first\nsee {host}/x")) == 1
    assert rules.registry_hosts("from the package index; api_pypi_organ") == []


@pytest.mark.parametrize(
    "path", ["home/alice/cm", "root/.cache/x", "Users/bob", "opt/py/bin", "work/main/a.py", "tmp/x"]
)
def test_a_path_of_one_machine_is_found(path):
    for text in (f"cd /{path}", f'"/{path}"', f"PATH=/{path}", f"(/{path})"):
        assert len(rules.machine_paths(text)) == 1
    for text in (
        f"~/{path}",
        f"./{path}",
        f"$HOME/{path}",
        f"http://host/{path}",
        f"a/{path}",
        "/home",
        "/etc/systemd",
    ):
        assert rules.machine_paths(text) == []


@pytest.mark.parametrize(
    "fault",
    [
        "--index-url " + INDEX + "\n",
        "-i " + INDEX + "\n",
        "--find-links wheels\n",
        "-e .\n",
        "rlp==5.0.0\n",
        f"rlp>=5.0.0 \\\n{HASH}\n",
        f"rlp @ {INDEX}/rlp.whl \\\n{HASH}\n",
        "rlp==5.0.0 \\\n    --hash=md5:" + "ab" * 16 + "\n",
        "# from " + INDEX + "\n",
    ],
)
def test_a_lock_file_pip_could_not_check_is_found(fault):
    assert rules.unpinned(GOOD_LOCK) == []
    assert rules.unpinned(GOOD_LOCK + fault)
    assert rules.unpinned(fault + GOOD_LOCK)


def test_pins_are_read_with_and_without_markers():
    assert rules.pins(GOOD_LOCK) == {"rlp": "5.0.0", "pyrevm": "0.3.7"}


@pytest.mark.parametrize("entry", ['{"version": "1"}', '{"integrity": "sha512-x", "resolved": "' + INDEX + '"}'])
def test_a_javascript_package_without_hash_or_with_a_host_is_found(entry):
    lock = '{"packages": {"": {}, "node_modules/a": {"integrity": "sha512-x"}, "node_modules/b": %s}}'
    assert rules.unpinned_packages(lock % entry)
    assert rules.unpinned_packages(lock % '{"integrity": "sha512-x"}') == []
