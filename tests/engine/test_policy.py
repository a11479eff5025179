"""A policy's methods are the decisions that the step loop asks for."""

import numpy as np
import pytest

from trim.engine.policy import Policy
from trim.errors import TrimError


def test_a_misspelt_decision_is_refused():
    with pytest.raises(TrimError, match=r"Mine.regenrate: no decision of a policy; regenerate is one"):

        class Mine(Policy):
            def regenrate(self, seen):
                return np.ones(len(seen), dtype=bool)


def test_decisions_and_attributes_of_its_own_are_taken():
    class Mine(Policy):
        limit = 3

        def regenerate(self, seen):
            return self._longer(seen)

        def settle(self):
            """A method that no policy has, nor a name near one."""

        def _longer(self, seen):
            return seen.tokens[:, -1] > self.limit

    assert Mine().limit == 3
