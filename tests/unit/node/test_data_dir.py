"""A home directory: who runs in it."""

from __future__ import annotations

import os

from cybermiles.node.data_dir import DataDir


def test_a_running_node_is_known_by_its_lock_and_not_by_what_a_file_says(tmp_path):
    home = DataDir(tmp_path)
    assert home.running_process() is None
    lock = home.lock()
    assert home.running_process() == os.getpid()
    lock.close()
    assert (tmp_path / "node.lock").read_text() == str(os.getpid())
    assert home.running_process() is None


def test_asking_does_not_disturb_a_start(tmp_path):
    home = DataDir(tmp_path)
    home.lock().close()
    home.running_process()
    home.lock().close()


def test_a_home_keeps_its_node_key(tmp_path):
    home = DataDir(tmp_path)
    assert home.load_or_create_node_key() == home.load_or_create_node_key()
