"""A node's verification service on a chain that has one vault."""

from __future__ import annotations

import pytest

from cybermiles.rpc.verification.config import VerifyConfig, VerifyLimits
from cybermiles.rpc.verification.service import VerificationService
from cybermiles.runtime.clock import ManualClock
from cybermiles.runtime.executor import Worker
from tests.unit.rpc.verification.samples import VaultChain, solc_command


@pytest.fixture(scope="module")
def worker():
    worker = Worker("verify", 2)
    yield worker
    worker.close()


@pytest.fixture
def build(tmp_path, worker):
    """Return a function that makes the service of a node."""

    def make(chain=None, *, compiles=True, **limits):
        config = VerifyConfig(solc=solc_command(tmp_path) if compiles else (), limits=VerifyLimits(**limits))
        return VerificationService(
            config,
            chain=chain or VaultChain(),
            directory=tmp_path / "verified",
            worker=worker,
            clock=ManualClock(1_000),
        )

    return make
