"""Whether this node may vote in a height.

catching up       others are ahead: what it would say is old
muted             the log of what its key signed in this height is lost, so nobody knows on which block it is locked
not remembered    the newest commits have signatures of its key that the signer does not know: the node stops
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.consensus.lookback import check_signer_remembers
from cybermiles.errors import InvariantViolation
from cybermiles.runtime.logging import get_logger

if TYPE_CHECKING:
    from cybermiles.consensus.ports import RunnerPorts
    from cybermiles.consensus.settings import RunnerSettings
    from cybermiles.types.abci import AppInfo

log = get_logger("consensus")


class VotingRight:
    """Owned by the runner."""

    def __init__(self, ports: RunnerPorts, settings: RunnerSettings) -> None:
        self._ports = ports
        self._settings = settings
        self._is_muted = False
        self._is_remembered = False

    @property
    def last_signed(self) -> tuple[int, int, int]:
        """(height, round, step) of the key's last signature."""
        return (0, 0, 0) if self._ports.signer is None else self._ports.signer.last_signed

    def forget(self) -> None:
        """Blocks were taken from others: compare the signer with the newest commits again before voting."""
        self._is_remembered = False

    def mute(self, info: AppInfo, *, is_lost: bool) -> None:
        """Note whether the log of the height above `info` is lost.

        Raises InvariantViolation where it is and nobody else could decide the height.
        """
        self._is_muted = is_lost
        if not is_lost:
            return
        text = (
            f"the key signed height/round/step {self.last_signed}, but the log of height {info.height + 1} does not "
            "lead there: the log was lost, the data are older than the key's state, or another node runs with this key"
        )
        own = None if self._ports.signer is None else info.validators.by_address(self._ports.signer.address)
        if own is not None and info.validators.has_quorum(own.power):
            raise InvariantViolation(f"refusing to sign: {text}. Restore the newest data directory.")
        log.warning("not_voting", height=info.height + 1, reason=text)

    async def may_vote(self, info: AppInfo, *, is_catching_up: bool) -> bool:
        """Whether to vote in the height above `info`. Raises ConfigError where the signer forgot what it signed."""
        if is_catching_up or self._is_muted:
            return False
        await self.check_signer(info)
        return True

    async def check_signer(self, info: AppInfo) -> None:
        """Compare the signer with the newest commits, once after each catching up. Raises ConfigError."""
        signer = self._ports.signer
        if self._is_remembered or signer is None:
            return
        commits = []
        for height in range(info.height, max(0, info.height - self._settings.double_sign_check_heights), -1):
            stored = await self._ports.application.load(height) if signer.last_signed[0] <= height else None
            if stored is None:
                break
            commits.append(stored[1])
        await check_signer_remembers(
            signer,
            self._ports.verifier,
            commits,
            chain_id=self._settings.chain_id,
            genesis_hash=self._settings.genesis_hash,
        )
        self._is_remembered = True
