"""`rpc.jobs.JobSource` over the database: committed data together with an EVM to execute on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.application.history import CommittedHistory
from cybermiles.errors import InvariantViolation
from cybermiles.execution.parent import Parent
from cybermiles.execution.replay import replay_block
from cybermiles.node.chain_view import ChainView
from cybermiles.rpc.ports import StateUnavailable

if TYPE_CHECKING:
    from cybermiles.chain.params import ChainParams
    from cybermiles.execution.parent import Chain
    from cybermiles.execution.replay import Replay
    from cybermiles.storage.database import Database
    from cybermiles.types.validator import ValidatorSet


class LocalSource(ChainView):
    """A `ChainView` that can execute. Belongs to one thread, as its EVM does; it knows no pool and no flat state."""

    def __init__(self, database: Database, chain: Chain, params: ChainParams) -> None:
        super().__init__(database, chain.chain_id, params, tuple)
        self._constants = chain

    @property
    def constants(self) -> Chain:
        return self._constants

    @property
    def params(self) -> ChainParams:
        return self.params_at(self.head_height())

    def parent(self, height: int) -> Parent:
        header = self.header(height)
        if header is None:
            raise StateUnavailable(f"there is no block {height} yet")
        return Parent(
            header=header,
            state=self.state(height),
            nodes=self._database.nodes,
            params=self.params_at(height),
            history=CommittedHistory(self._database),
            validators=self._validators(height + 1),
            next_validators=self._validators(height + 2),
        )

    def _validators(self, height: int) -> ValidatorSet:
        validators = self._database.validators.validators(height)
        if validators is None:
            raise InvariantViolation(f"the validators of height {height} are not settled")
        return validators

    def replay(self, height: int) -> Replay:
        block = self.block(height)
        if block is None:
            raise StateUnavailable(f"there is no block {height} that could be executed again")
        return replay_block(self._constants, self.parent(height - 1), block, self.outcomes(height))
