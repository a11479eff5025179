"""The training loop: its parts against independent computations, and that it learns."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import Scripted

from trim.draws import Draws, Scorer, Writer
from trim.episodes import run
from trim.errors import TrimError
from trim.fits import read_fits, write_fits
from trim.models.base import Draft
from trim.problems import Problem
from trim.rl.networks import ActorCritic
from trim.rl.ppo import Member, Rollout, advantages, play, train
from trim.rl.settings import Hyperparameters
from trim.rl.tree import Tree
from trim.routers.trim_agg import TrimAgg
from trim.routers.trim_seq import TrimSeq


class Telling(Scripted):
    """Two steps; the weak model is right half the time, the strong one always, and scores tell."""

    def next_steps(self, prefixes, keys):
        drafts = []
        for prefix, key in zip(prefixes, keys, strict=True):
            right = self.name == "strong" or key[0] % 2
            wrong = not right or any("wrong" in step for step in prefix.steps)
            text = "wrong" if not right else "right"
            if len(prefix.steps) == 1:
                text += f" \\boxed{{{0 if wrong else 1}}}"
            drafts.append(Draft(text, 10, "end" if len(prefix.steps) == 1 else "separator"))
        return drafts

    @staticmethod
    def value(step):
        return 0.1 if "wrong" in step else 0.9


def telling_parts(n, name):
    """Problems, writers and scorer."""
    problems = [Problem(f"{name}{i}", f"{name} {i}", "1", "train") for i in range(n)]
    draws, models = Draws(), {role: Telling(role) for role in ("weak", "strong", "prm")}
    return (
        problems,
        Writer("weak", lambda: models["weak"], draws, 64),
        Writer("strong", lambda: models["strong"], draws, 64),
        Scorer("prm", lambda: models["prm"], draws, 64),
    )


def telling(n, name):
    return Tree(*telling_parts(n, name))


def test_advantages_are_those_of_the_definition():
    rng = torch.Generator().manual_seed(0)
    rewards, values = (torch.rand(5, 2, 3, generator=rng) for _ in range(2))
    lengths = torch.randint(1, 6, (2, 3), generator=rng)
    live = torch.arange(5)[:, None, None] < lengths
    nothing = torch.zeros(5, 2, 3)
    rollout = Rollout(nothing[..., None], nothing, nothing, values, rewards * live, live, np.zeros(1), np.zeros(1))
    found = advantages(rollout, 0.9, 0.8)
    for m, i in np.ndindex(2, 3):
        length = int(lengths[m, i])
        for t in range(length):
            expected = 0.0
            for k in range(t, length):
                following = values[k + 1, m, i] if k + 1 < length else 0.0
                expected += (0.9 * 0.8) ** (k - t) * float(rewards[k, m, i] + 0.9 * following - values[k, m, i])
            assert found[t, m, i] == pytest.approx(expected, abs=1e-5)
        assert not found[length:, m, i].any()


@pytest.mark.parametrize("recurrent", [False, True])
def test_members_do_not_touch_each_other_and_steps_are_the_sequence(recurrent):
    torch.manual_seed(0)
    model = ActorCritic(3, 5, hidden=8, recurrent=recurrent).eval()
    features = torch.rand(4, 3, 6, 5)
    logits, values = model(features)
    state, stepped = model.start(6), []
    for step in features:
        logit, value, state = model.step(step, state)
        stepped.append((logit, value))
    torch.testing.assert_close(torch.stack([s[0] for s in stepped]), logits)
    torch.testing.assert_close(torch.stack([s[1] for s in stepped]), values)
    model(features)[0][:, 1].sum().backward()
    for parameter in model.parameters():
        if parameter.grad is not None:
            assert not parameter.grad[[0, 2]].any()


@pytest.mark.parametrize("recurrent", [False, True])
def test_it_learns_to_rewrite_what_is_wrong_where_that_pays(recurrent):
    tree, held_out = telling(64, "a"), telling(64, "b")
    settings = Hyperparameters(epochs=12, learning_rate=3e-3, batch=32, minibatches=2)
    members = [Member(0.001, 0), Member(0.2, 0)]
    parameters, _ = train(members, tree, held_out, settings, recurrent)
    model = ActorCritic(2, 5, settings.hidden, recurrent).eval()
    model.load_state_dict({name: torch.from_numpy(p) for name, p in parameters.items()})
    done = play(model, held_out, np.tile(np.arange(64), (2, 1)), np.array([[0.001], [0.2]]))
    assert done.correct[0].all()
    wrong = done.features[0, 0, :, 2] < 0.5
    assert (done.actions[0, 0][wrong] == 1).all()
    assert done.paid[1].sum() == 0


def test_the_same_seed_gives_the_same_policy():
    settings = Hyperparameters(epochs=2, batch=16)
    first, again = (train([Member(0.01, 7)], telling(32, "a"), telling(32, "b"), settings)[0] for _ in range(2))
    for name, parameter in first.items():
        np.testing.assert_array_equal(parameter, again[name])


@pytest.mark.parametrize("kind", [TrimAgg, TrimSeq])
def test_a_fitted_router_decides_in_the_engine_as_it_was_trained(kind, tmp_path):
    problems, *parts = telling_parts(40, "c")
    tree = Tree(problems, *parts)
    trial = SimpleNamespace(tree=lambda split: tree)
    params = kind.Params(costs=[0.001, 0.02], seeds=[0, 1], training={"epochs": 3, "batch": 20, "learning_rate": 3e-3})
    fitted = kind(params).fit(trial, [0.1])
    write_fits(tmp_path, kind.name, "standard", {kind.name: fitted})
    policies = kind(params, read_fits(tmp_path, kind.name, kind.name)).policies()
    assert next(iter(policies)) == "cost=0.02 seed=1"
    episodes = run(problems, list(policies.values()), *parts)
    model = ActorCritic(4, 5, 64, kind.recurrent).eval()
    arrays = {n.removeprefix("network."): torch.from_numpy(a) for n, a in fitted.items() if n.startswith("network.")}
    model.load_state_dict(arrays)
    greedy = play(model, tree, np.tile(np.arange(40), (4, 1)), np.zeros((4, 1)))
    for index in range(4):
        for i, episode in enumerate(episodes[index * 40 : (index + 1) * 40]):
            member = 3 - index
            assert episode.correct == greedy.correct[member, i]
            assert sum(s.tokens for s in episode.steps if s.writer == "strong") == greedy.paid[member, i]
    with pytest.raises(TrimError, match="this version has"):
        kind(params, fitted | {"features": ["score"]}).policies()
