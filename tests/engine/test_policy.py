"""What a policy must have, and which of its answers the step loop takes."""

import numpy as np
import pytest
from fakes.scripted import Scripted

from trim.engine.actions import NEXT, USUAL, Action, Phase
from trim.engine.cached import CachedLM, CachedPRM
from trim.engine.loop import run
from trim.engine.policy import Policy
from trim.engine.store import Draws
from trim.errors import TrimError
from trim.problems import Problem


@pytest.mark.parametrize("name", ["decides", "regenerate"])
def test_a_policy_without_decide_is_refused(name):
    with pytest.raises(TrimError, match="Mine: a policy needs decide"):
        type("Mine", (Policy,), {name: lambda self, seen: np.ones(len(seen), dtype=bool)})


def test_every_phase_has_its_actions_and_a_usual_one():
    for phase in Phase:
        actions = [action for where, action in NEXT if where == phase]
        assert USUAL[phase] in actions and len(actions) > 1


class Stubborn(Policy):
    """Takes one action in one phase, and the usual one in the others."""

    def __init__(self, phase, action):
        self._phase, self._action = phase, action
        self.second = "strong"
        self.verifier = "prm"

    def decide(self, phase, seen):
        return np.full(len(seen), self._action) if phase == self._phase else super().decide(phase, seen)


def solve(policy):
    draws = Draws()
    weak, strong = (CachedLM(name, lambda name=name: Scripted(name, 3), draws, 8) for name in ("weak", "strong"))
    return run([Problem("p", "q", "1", "test")], [policy], weak, strong, CachedPRM("prm", Scripted, draws, 8))


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("action", Action)
def test_an_action_leads_where_the_table_says_or_is_refused(phase, action):
    policy = Stubborn(phase, action)
    if (phase, action) in NEXT:
        (episode,) = solve(policy)
        kinds = {call.kind for call in episode.calls}
        assert (NEXT[phase, action] == "rewrite") <= ("rewrite" in kinds) or phase == Phase.READ
        assert ("read" in kinds) == (action == Action.READ)
        assert bool(episode.discarded) == (action == Action.RESTART)
    elif phase != Phase.READ:  # where no one asks for a second reading, that phase is never met
        with pytest.raises(TrimError, match=f"no action of the phase {phase.name}"):
            solve(policy)


def test_a_reading_without_a_second_rater_is_refused():
    policy = Stubborn(Phase.DRAFTED, Action.READ)
    policy.second = None
    with pytest.raises(TrimError, match="no action of the phase DRAFTED"):
        solve(policy)
