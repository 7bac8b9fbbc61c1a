"""What members decided, as the node needs it between blocks: parameters, frozen accounts, the version of the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.chain.predeploys import GOVERNANCE
from cybermiles.errors import UpgradeRequired
from cybermiles.execution.parent import SUPPORTED_APP_VERSIONS
from cybermiles.governance.parameters import changes_made, effective_params
from cybermiles.governance.proposals import app_version
from cybermiles.state.slots import ReadStorage

if TYPE_CHECKING:
    from cybermiles.chain.params import ChainParams
    from cybermiles.state.reader import StateReader


class EffectiveParams:
    """The parameters in force after any state: genesis, and what was changed since.

    The newest answer is kept by the number of changes it has, because a head's state is asked for many times.
    """

    def __init__(self, genesis: ChainParams) -> None:
        self._genesis = genesis
        self._newest = (0, genesis)

    def at(self, state: StateReader) -> ChainParams:
        """Return the parameters of the block that follows a state of this chain."""
        storage = ReadStorage(state, GOVERNANCE)
        changes = changes_made(storage)
        known = self._newest
        if known[0] == changes:
            return known[1]
        params = effective_params(self._genesis, storage)
        self._newest = (changes, params)
        return params


def check_version(state: StateReader, height: int) -> None:
    """Raise UpgradeRequired where the block of `height`, which follows a state, needs a version that is not ours."""
    version = app_version(ReadStorage(state, GOVERNANCE))
    if version not in SUPPORTED_APP_VERSIONS:
        raise UpgradeRequired(
            f"block {height} needs version {version} of the rules and this software has {SUPPORTED_APP_VERSIONS[-1]}: "
            "install the release that members decided on (`cmt gov`, or the contract's upgrade()) and start it"
        )
