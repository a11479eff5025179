"""The training loop: its parts against independent computations, and that it learns."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fakes.scripted import telling, telling_parts

from trim.engine.loop import run
from trim.errors import TrimError
from trim.files import read_arrays
from trim.rl.hyperparameters import Hyperparameters
from trim.rl.networks import ActorCritic
from trim.rl.ppo import Rollout, advantages, play
from trim.rl.training import Task, evaluate_greedy, train
from trim.rl.tree import Tree
from trim.routers.fitted import read_fitted, write_fitted
from trim.routers.trim_agg import TrimAgg
from trim.routers.trim_budget import TrimBudget
from trim.routers.trim_seq import TrimSeq
from trim.setting import Setting


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


@pytest.mark.parametrize(("recurrent", "conditioned", "informed"), [(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1)])
def test_members_do_not_touch_each_other_and_steps_are_the_sequence(recurrent, conditioned, informed):
    torch.manual_seed(0)
    model = ActorCritic(3, 8, recurrent, conditioned, informed).eval()
    features = torch.rand(4, 3, 6, 5 + 2 * recurrent + conditioned + informed)
    everywhere = torch.arange(4 * 6).expand(3, -1)
    logits, values = (x.reshape(3, 4, 6).transpose(0, 1) for x in model(features, everywhere))
    state, stepped = model.start(6), []
    for step in features:
        logit, value, state = model.step(step, state)
        stepped.append((logit, value))
    torch.testing.assert_close(torch.stack([s[0] for s in stepped]), logits)
    torch.testing.assert_close(torch.stack([s[1] for s in stepped]), values)
    model(features, everywhere)[0][1].sum().backward()
    for parameter in model.parameters():
        if parameter.grad is not None:
            assert not parameter.grad[[0, 2]].any()


@pytest.mark.parametrize("recurrent", [False, True])
def test_it_learns_to_rewrite_what_is_wrong_where_that_pays(recurrent):
    tree, held_out = telling(64, "a"), telling(64, "b")
    settings = Hyperparameters(epochs=12, learning_rate=3e-3, batch=32, minibatches=2)
    parameters = train(Task((0.001, 0.2), (0,), settings, recurrent), tree, held_out).parameters
    model = ActorCritic(2, settings.hidden, recurrent).eval()
    model.load_state_dict({name: torch.from_numpy(p) for name, p in parameters.items()})
    done = play(model, held_out, np.tile(np.arange(64), (2, 1)), np.repeat([[0.001], [0.2]], 64, axis=1))
    assert done.correct[0].all()
    wrong = done.features[0, 0, :, 2] < 0.5
    assert (done.actions[0, 0][wrong] == 1).all()
    assert done.paid[1].sum() == 0


@pytest.mark.parametrize("informed", [False, True])
def test_where_the_score_tells_nothing_the_log_probability_of_the_draft_does(informed):
    trees = [telling(64, name) for name in "ab"]
    for tree in trees:
        tree.expand()
        tree.score[:] = tree.least[:] = tree.product[:] = 0.5
    settings = Hyperparameters(epochs=12, learning_rate=3e-3, batch=32, minibatches=2)
    trained = train(Task((0.02,), (0,), settings, informed=informed), *trees)
    assert (trained.accuracy.item() == 1 and trained.tokens.item() < 20) == informed


def test_one_policy_for_every_cost_spends_less_where_tokens_are_dear():
    tree, held_out = telling(64, "a"), telling(64, "b")
    settings = Hyperparameters(epochs=15, learning_rate=3e-3, batch=32, minibatches=2)
    task = Task((0.001, 0.2), (0, 1), settings, conditioned=True, repeats=4)
    trained = train(task, tree, held_out)
    model = ActorCritic(2, settings.hidden, conditioned=True).eval()
    model.load_state_dict({name: torch.from_numpy(p) for name, p in trained.parameters.items()})
    seen = evaluate_greedy(task, model, held_out)
    assert seen.accuracy.shape == (2, 2)
    assert (seen.accuracy[:, 0] == 1).all()
    assert (seen.tokens[:, 1] == 0).all()
    np.testing.assert_allclose(seen.value, trained.value)


class Stop(Exception):
    pass


@pytest.mark.parametrize(("recurrent", "conditioned"), [(False, False), (True, True)])
def test_the_same_seed_gives_the_same_policy_even_after_a_kill(recurrent, conditioned, tmp_path):
    settings = Hyperparameters(epochs=3, batch=16)
    task = Task((0.01, 0.02), (7,), settings, recurrent, conditioned, 2)
    path, told, again = tmp_path / "c.safetensors", [], []
    first = train(task, telling(32, "a"), telling(32, "b"), log=lambda *seen: told.append(seen))

    def stop(done, of, figures):
        assert of == 6
        if done == 5:
            raise Stop

    with pytest.raises(Stop):
        train(task, telling(32, "a"), telling(32, "b"), path, stop)
    resumed = train(task, telling(32, "a"), telling(32, "b"), path, lambda *seen: again.append(seen))
    assert again == told
    for name in ("accuracy", "tokens", "value"):
        np.testing.assert_array_equal(getattr(first, name), getattr(resumed, name))
    for name, parameter in first.parameters.items():
        np.testing.assert_array_equal(parameter, resumed.parameters[name])
    other = train(Task((0.01, 0.02), (8,), settings, recurrent, conditioned, 2), *(telling(32, n) for n in "ab"), path)
    assert any((other.parameters[name] != p).any() for name, p in first.parameters.items())


def test_a_checkpoint_of_other_draws_is_left_alone(tmp_path):
    path, task = tmp_path / "c.safetensors", Task((0.01,), (0,), Hyperparameters(epochs=1, batch=16))

    def trees():
        return read_arrays(path)[1]["identity"]["trees"]

    first, validation, other = telling(16, "a"), telling(16, "b"), telling(16, "a")
    other._weak.identity = b"another temperature"
    train(task, first, validation, path)
    assert trees() == [first.identity.hex(), validation.identity.hex()]
    train(task, other, validation, path)
    assert trees() == [other.identity.hex(), validation.identity.hex()]
    assert first.identity == telling(16, "a").identity != other.identity
    assert first.identity != telling(17, "a").identity


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = tmp_path / "c.safetensors"
    task = Task((0.01,), (0,), Hyperparameters(epochs=1, batch=16))
    train(task, telling(16, "a"), telling(16, "b"), path)
    whole = path.read_bytes()
    for damaged in (whole[:100], whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]):
        path.write_bytes(damaged)
        with pytest.raises(TrimError, match=r"c\.safetensors: cannot be read .*delete it and run Snakemake again"):
            train(task, telling(16, "a"), telling(16, "b"), path)


@pytest.mark.parametrize("evidence", [["prm"], ["weak", "prm"]])
@pytest.mark.parametrize("kind", [TrimAgg, TrimSeq, TrimBudget])
def test_a_fitted_router_decides_in_the_engine_as_it_was_trained(kind, evidence, tmp_path):
    problems, *parts = telling_parts(40, "c")
    tree = Tree(problems, *parts)
    trial = SimpleNamespace(tree=lambda split: tree, checkpoint=None, log=None)
    training = {"epochs": 3, "batch": 20, "learning_rate": 3e-3}
    params = kind.Params(costs=[0.001, 0.02], seeds=[0, 1], evidence=evidence, training=training)
    fitted = kind(params).fit(trial, [0.1])
    write_fitted(tmp_path, kind.name, "standard", fitted)
    router = kind(params, read_fitted(tmp_path, kind.name))
    policies = router.policies()
    task = router.task()
    assert next(iter(policies)).unseeded == Setting("cost", 0.02)
    assert {setting.seed for setting in policies} == {0, 1}
    model = ActorCritic(len(task.members), 64, task.recurrent, task.conditioned, task.informed).eval()
    model.load_state_dict({name: torch.from_numpy(array) for name, array in fitted["network"].items()})
    costs = np.array([task.costs if cost is None else [cost] for cost, _ in task.members])
    greedy = play(model, tree, np.tile(np.arange(40), costs.shape), np.repeat(costs, 40, axis=1))
    episodes = run(problems, list(policies.values()), *parts)
    for index, at in enumerate(policies):
        if at.parameter != "cost":
            continue
        (member,) = [m for m, (cost, seed) in enumerate(task.members) if cost in (None, at.value) and seed == at.seed]
        first = 40 * costs[member].tolist().index(at.value)
        for i, episode in enumerate(episodes[index * 40 : (index + 1) * 40]):
            assert episode.correct == greedy.correct[member, first + i]
            assert sum(s.tokens for s in episode.steps if s.writer == "strong") == greedy.paid[member, first + i]
    with pytest.raises(TrimError, match="this is"):
        kind(params, router.fitted | {"features": ["score"]}).policies()
    other = params.model_copy(update={"seeds": (0, 1, 2)})
    with pytest.raises(TrimError, match=r"seeds \[0, 1\] found, this is \[0, 1, 2\]; fit again"):
        kind(other, router.fitted).policies()
