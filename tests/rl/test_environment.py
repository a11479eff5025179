"""The environment over solution trees: Gymnasium's contract, and the engine's episodes."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from trim.engine.actions import Action, Phase
from trim.engine.loop import run
from trim.engine.policy import Policy
from trim.rl.environment import RoutingEnv, RoutingVectorEnv, features
from trim.rl.tree import FINISHED, REWRITE, Tree
from trim.rng import digest


@pytest.fixture
def tree(engine, some_problems):
    weak, strong, scorer, _ = engine
    return Tree(some_problems, weak, strong, scorer, max_steps=5)


class Coin(Policy):
    """Decides by the texts, so that the same place gets the same decision everywhere."""

    @staticmethod
    def of(steps: tuple[str, ...]) -> int:
        return digest(*(step.encode() for step in steps))[0] % 2

    def decide(self, phase, seen):
        if phase != Phase.DRAFTED:
            return super().decide(phase, seen)
        return np.where([self.of(steps) == REWRITE for steps in seen.steps], Action.REWRITE, Action.ACCEPT)


def test_gymnasium_accepts_it(tree):
    check_env(RoutingEnv(tree), skip_render_check=True)


def test_episodes_are_those_of_the_engine(tree, engine, some_problems):
    *parts, _ = engine
    episodes = run(some_problems, [Coin()], *parts, max_steps=5)
    for episode, root in zip(episodes, tree.roots.tolist(), strict=True):
        point, steps, paid = root, [], 0
        while point != FINISHED:
            node, draft = tree._nodes[point], tree._drafts[point]
            standing = episode.steps[: len(steps)]
            assert node.prefix.steps == tuple(step.text for step in standing)
            scores = episode.scores[: len(steps)]
            step = episode.steps[len(steps)]
            np.testing.assert_allclose(
                features(tree, np.array([point]))[0],
                [min(scores, default=1), np.prod(scores), step.score, step.draft_tokens / 300, len(steps) / 5],
                rtol=1e-6,
            )
            action = Coin.of((*node.prefix.steps, draft.text))
            (point,), (correct,), (tokens,) = tree.follow(np.array([point]), np.array([action]))
            steps.append(action)
            paid += tokens
        assert [step.writer == "strong" for step in episode.steps] == [a == REWRITE for a in steps]
        assert paid == sum(step.tokens for step in episode.steps if step.writer == "strong")
        assert correct == episode.correct


@given(st.integers(0, 999), st.integers(1, 7))
@settings(max_examples=10, deadline=None)
def test_an_explored_tree_asks_no_model(seed, count):
    from fakes.scripted import Scripted

    from trim.engine.cached import CachedLM, CachedPRM
    from trim.engine.store import Draws
    from trim.problems import Problem

    problems = [Problem(f"p{i}", f"question {i}", "1", "test") for i in range(9)]
    models = {name: Scripted(name) for name in ("weak", "strong", "prm")}
    draws = Draws()
    tree = Tree(
        problems,
        *(CachedLM(name, lambda name=name: models[name], draws, 64) for name in ("weak", "strong")),
        CachedPRM("prm", lambda: models["prm"], draws, 64),
    )

    def play():
        env = RoutingVectorEnv(tree, count, cost=0.01)
        observation, _ = env.reset(seed=seed)
        rng, seen = np.random.default_rng(seed), [observation]
        for _ in range(30):
            observation, reward, done, truncated, _ = env.step(rng.integers(0, 2, count))
            assert env.observation_space.contains(observation)
            assert not truncated.any()
            assert (reward <= 1).all()
            assert ((reward > 0) <= done).all()
            seen += [observation, reward]
        return seen

    first = play()
    made = {name: len(model.requests) for name, model in models.items()}
    again = play()
    assert {name: len(model.requests) for name, model in models.items()} == made
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_problem_comes_once_an_epoch(tree):
    env = RoutingVectorEnv(tree, 4)
    _, info = env.reset(seed=3)
    seen = info["problem"].tolist()
    while len(seen) < 20:
        _, _, done, _, info = env.step(np.zeros(4, dtype=int))
        seen += info["problem"][done].tolist()
    assert sorted(seen[:20]) == list(range(20))
