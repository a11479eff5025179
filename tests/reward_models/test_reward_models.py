"""Reward models of one's own: their labels against plain recursions, their training, and what is saved."""

import itertools

import numpy as np
import pytest
import torch
from fakes.scripted import Scripted

from tools.pretrain.train import solve
from trim.engine.cached import CachedLM, CachedPRM
from trim.engine.store import Draws
from trim.errors import TrimError
from trim.models.backends.transformers import TransformersLM, TransformersPRM
from trim.models.base import Prefix
from trim.models.files import resolve
from trim.models.prm import Qwen2ForProcessRewardModel
from trim.models.settings import Sampling
from trim.models.weights import check_folder
from trim.problems import Problem
from trim.problems.checks import first_error
from trim.problems.generated import generate
from trim.reward_models.examples import Example, examples
from trim.reward_models.hyperparameters import TrainedRewardModel
from trim.reward_models.training import _margins, _rows, fit
from trim.rl.tree import FINISHED, Tree
from trim.steps import PLAIN


@pytest.fixture
def tree():
    models = {name: Scripted(name, 3) for name in ("weak", "strong", "prm")}
    draws, problems = Draws(), [Problem(f"p{i}", f"question {i}", "1", "train") for i in range(12)]
    writers = [CachedLM(name, lambda name=name: models[name], draws, 64) for name in ("weak", "strong")]
    found = Tree(problems, *writers, CachedPRM("prm", lambda: models["prm"], draws, 64))
    found.expand()
    return found


def ways(tree, root):
    """Every way through a problem's tree: its actions, its solution, and whether that is right."""
    for actions in itertools.product((0, 1), repeat=3):
        at, node = root, None
        for action in actions:
            (node,), (after,) = tree.after(np.array([at]), np.array([action])), [tree.child[at, action]]
            right, at = tree.correct[at, action], after
        assert after == FINISHED
        yield actions, node, right


def test_success_is_the_mean_over_all_continuations(tree):
    found = {e.prefix: e.labels for e in examples(tree, "success", 10**6, np.random.default_rng(0))}
    for root in tree.roots:
        every = list(ways(tree, root))
        for _, node, _ in every:
            for length in (1, 2, 3):
                begun = [right for _, other, right in every if other.path[: length + 1] == node.path[: length + 1]]
                assert found[node.prefix][length - 1] == pytest.approx(np.mean(begun))


def test_agreement_is_with_the_strong_model_and_scores_are_of_drafts(tree):
    agree = {e.prefix: e.labels for e in examples(tree, "agreement", 10**6, np.random.default_rng(0))}
    scores = {e.prefix: e.labels for e in examples(tree, "scores", 10**6, np.random.default_rng(0))}
    for root in tree.roots:
        for actions, node, _ in ways(tree, root):
            np.testing.assert_array_equal(agree[node.prefix], actions)  # no two hashes are alike here
            drafted = [
                Scripted.value(step) if not action else np.nan for step, action in zip(node.prefix.steps, actions)
            ]
            np.testing.assert_allclose(scores[node.prefix], drafted)


def test_each_problem_gives_one_solution_before_any_gives_two(tree):
    found = examples(tree, "success", 20, np.random.default_rng(3))
    counts = np.bincount([e.problem for e in found], minlength=12)
    assert counts.sum() == 20 and counts.min() == 1 and counts.max() == 2


@pytest.fixture(scope="module")
def labelled():
    problems = generate("standard", {"train": 240}, 5)
    model = TransformersLM(resolve("embedded/weak"), Sampling(max_step_tokens=64))
    found = []
    for index, (problem, steps) in enumerate(zip(problems, solve(problems, model, 1), strict=True)):
        labels, error = np.ones(len(steps)), first_error(problem, steps)
        if error >= 0:
            labels[error], labels[error + 1 :] = 0, np.nan
        found.append(Example(index, Prefix(problem.question, steps), labels))
    return found


def train(labelled, **settings):
    settings = TrainedRewardModel(**{"updates": 4, "batch_tokens": 2048} | settings)
    return fit(resolve(f"embedded/{settings.start}"), "float32", settings, PLAIN, labelled)


@pytest.mark.slow
@pytest.mark.parametrize("start", ["weak", "prm"])
@pytest.mark.parametrize("tune", ["all", "head", "lora"])
def test_what_is_trained_loads_and_scores_as_any_reward_model(labelled, tmp_path, start, tune):
    found = train(labelled, start=start, tune=tune, heads=2 if tune == "lora" else 1, noise=0.5, smoothing=0.05)
    found.save(tmp_path)
    loaded = TransformersPRM(tmp_path)
    solutions = [example.prefix for example in labelled[:20]]
    for row, solution in zip(loaded.score(solutions, [len(s.steps) for s in solutions]), solutions, strict=True):
        assert len(row) == len(solution.steps) and all(0 < score.score < 1 for score in row)
    before = TransformersLM(resolve("embedded/weak"), Sampling()).model.model if start == "weak" else None
    body = before or TransformersPRM(resolve("embedded/prm")).model.model
    changed = {
        name for name, weight in loaded.model.model.named_parameters() if not weight.equal(body.get_parameter(name))
    }
    tag_alone = {"embed_tokens.weight"} if start == "weak" else set()
    if tune == "head":
        assert changed <= tag_alone
    elif tune == "lora":  # of all linear layers, and of no other weight
        assert changed - tag_alone == {name for name in changed if name.endswith("proj.weight")} and changed - tag_alone
    else:
        assert len(changed) > len(list(body.parameters())) / 2


@pytest.mark.slow
def test_several_heads_are_one_wide_head_that_says_their_mean(labelled, tmp_path):
    found = train(labelled, heads=3)
    rows = _rows(labelled[:8], TransformersPRM(resolve("embedded/prm")).prompt, found.tokenizer)
    with torch.no_grad():
        apart = _margins(found.model, rows)
    assert apart.shape[1] == 3 and apart.std(dim=1).min() > 0
    found.save(tmp_path)
    scores = TransformersPRM(tmp_path).score([e.prefix for e in labelled[:8]], [len(e.labels) for e in labelled[:8]])
    said = [s.score for row, e in zip(scores, labelled) for s, label in zip(row, e.labels) if np.isfinite(label)]
    np.testing.assert_allclose(apart.mean(dim=1).sigmoid(), said, atol=1e-5)
    with pytest.raises(TrimError, match="a reward model of 3 heads, which the backend transformers alone reads"):
        check_folder(tmp_path, "reward model")


@pytest.mark.slow
def test_it_learns_and_is_calibrated_on_problems_that_it_did_not_see(labelled):
    little, much = train(labelled, updates=1), train(labelled, updates=60, learning_rate=0.002)
    assert much.figures["held_out_loss"] < little.figures["held_out_loss"] - 0.02
    assert much.figures["auc"] > max(0.6, little.figures["auc"])
    assert much.figures["solutions"] + much.figures["held_out"] == len(labelled)
    # On those, no other scale and shift is better.
    held_out = [example for example in labelled if example.problem % 10 == 0]
    rows = _rows(held_out, TransformersPRM(resolve("embedded/prm")).prompt, much.tokenizer)
    with torch.no_grad():
        margins = _margins(much.model, rows).mean(dim=1).double()
    labels = torch.tensor(np.concatenate([row.labels for row in rows]))

    def loss(scale, shift):
        return torch.nn.functional.binary_cross_entropy_with_logits(scale * margins + shift, labels).item()

    assert loss(1, 0) == pytest.approx(much.figures["held_out_loss"], abs=1e-4)
    assert all(loss(1, 0) <= loss(scale, shift) + 1e-6 for scale in (0.9, 1, 1.1) for shift in (-0.1, 0, 0.1))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(labelled):
    one, other = (train(labelled, start="weak", noise=1).model for _ in range(2))
    assert all(a.equal(b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert isinstance(one, Qwen2ForProcessRewardModel)


def test_too_few_examples_are_refused(labelled):
    with pytest.raises(TrimError, match="are too few to train a reward model"):
        train(labelled[1:5])
