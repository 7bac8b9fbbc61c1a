"""The real directory and the fake one behave alike, as far as a process can see."""

from __future__ import annotations

import pytest

from cybermiles.runtime.directory import OsDirectory
from tests.fakes.disk import Disk


@pytest.fixture(params=["real", "fake"])
def directory(request, tmp_path):
    if request.param == "fake":
        yield Disk().directory("d")
        return
    made = OsDirectory(tmp_path / "d")
    yield made
    made.close()


def test_files_grow_are_replaced_cut_renamed_and_removed(directory):
    assert directory.names() == ()
    assert directory.read("a") is None
    directory.append("a", b"one")
    directory.append("a", b"two")
    assert directory.read("a") == b"onetwo"
    directory.truncate("a", 4)
    directory.append("a", b"!")
    assert directory.read("a") == b"onet!"
    directory.replace("a", b"new")
    assert directory.read("a") == b"new"
    directory.sync("a")
    directory.append("b", b"other")
    directory.rename("a", "b")
    directory.sync_names()
    assert directory.names() == ("b",)
    assert directory.read("b") == b"new"
    directory.append("b", b"er")
    assert directory.read("b") == b"newer"
    directory.remove("b")
    directory.remove("b")
    assert directory.names() == ()


def test_a_removed_file_starts_again_empty(directory):
    directory.append("a", b"old")
    directory.remove("a")
    directory.append("a", b"new")
    assert directory.read("a") == b"new"


def test_a_lock_excludes_others_until_it_is_closed(directory):
    lock = directory.lock("l")
    with pytest.raises(BlockingIOError):
        directory.lock("l")
    lock.close()
    directory.lock("l").close()


def test_real_files_are_their_owners_only_and_a_reopened_directory_has_them(tmp_path):
    directory = OsDirectory(tmp_path / "d")
    directory.append("a", b"x")
    directory.replace("b", b"y")
    directory.close()
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o700
    assert {name: (tmp_path / "d" / name).stat().st_mode & 0o777 for name in ("a", "b")} == {"a": 0o600, "b": 0o600}
    again = OsDirectory(tmp_path / "d")
    again.append("a", b"z")
    assert again.read("a") == b"xz"
    again.close()


def test_the_fake_loses_with_the_power_what_was_not_synced():
    disk = Disk()
    directory = disk.directory("d")
    directory.append("synced", b"one")
    directory.sync("synced")
    directory.append("synced", b"two")
    directory.append("unsynced", b"x")
    directory.sync_names()
    directory.append("unnamed", b"y")
    directory.sync("unnamed")
    disk.lose_power(torn_bytes=1)
    assert directory.names() == ("synced", "unsynced")
    assert directory.read("synced") == b"onet"
    assert directory.read("unsynced") == b"x"


def test_the_fake_undoes_a_rename_that_was_not_synced():
    disk = Disk()
    directory = disk.directory("d")
    for name, content in (("a", b"old"), ("new", b"new")):
        directory.append(name, content)
        directory.sync(name)
    directory.sync_names()
    directory.rename("new", "a")
    assert directory.read("a") == b"new"
    disk.lose_power()
    assert directory.read("a") == b"old"
    assert directory.read("new") == b"new"
