"""All planted bugs."""

from __future__ import annotations

from tests.mutation import protocol_mutations

MUTATIONS = protocol_mutations.MUTATIONS
