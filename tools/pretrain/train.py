"""Training the embedded models from scratch, on generated problems."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from tools.pretrain.settings import Pretrain, RewardTraining, Training
from tools.pretrain.tokenizer import build
from trim.engine.cached import CachedLM
from trim.engine.judge import AnswerJudge
from trim.engine.loop import run
from trim.engine.store import Draws
from trim.models.backends.transformers import TransformersLM, TransformersPRM
from trim.models.base import Prefix
from trim.models.prm import Qwen2ForProcessRewardModel
from trim.models.settings import Sampling
from trim.problems import Problem
from trim.problems.checks import first_error, follows, result
from trim.problems.generated import training_stream
from trim.routers.always import AlwaysWeak
from trim.steps import PLAIN, PRM_TAG, SEPARATOR

IGNORED = -100
_PROBE_SEED = 1_000_003
_SAMPLING = Sampling(max_step_tokens=64)
Batch = tuple[torch.Tensor, torch.Tensor]
Progress = Callable[[int, int], None]


def _prompt(tokenizer: PreTrainedTokenizerFast, problem: Problem) -> str:
    turns = PLAIN.messages(problem.question)
    return tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)


def _pack(rows: list[tuple[list[int], list[int]]], batch_tokens: int, generator: torch.Generator) -> Iterator[Batch]:
    """Batches of rows of similar length, in random order, padded to (n, length); labels ignore padding."""
    rows = sorted(rows, key=lambda row: len(row[0]))
    batches: list[list[tuple[list[int], list[int]]]] = [[]]
    for row in rows:
        if len(batches[-1]) * len(row[0]) >= batch_tokens:
            batches.append([])
        batches[-1].append(row)
    for index in torch.randperm(len(batches), generator=generator).tolist():
        batch = batches[index]
        width = max(len(ids) for ids, _ in batch)
        yield (
            torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in batch]),
            torch.tensor([labels + [IGNORED] * (width - len(labels)) for _, labels in batch]),
        )


def _language_batches(
    problems: Iterator[Problem], tokenizer: PreTrainedTokenizerFast, batch_tokens: int, generator: torch.Generator
) -> Iterator[Batch]:
    """Token ids and next-token labels; only the solution is learned."""
    while True:
        drawn = [next(problems) for _ in range(1024)]
        prompts = tokenizer([_prompt(tokenizer, p) for p in drawn])["input_ids"]
        ends = tokenizer.eos_token or ""
        solutions = tokenizer([SEPARATOR.join(p.reference) + ends for p in drawn])["input_ids"]
        rows = [
            (prompt + solution, [IGNORED] * (len(prompt) - 1) + solution + [IGNORED])
            for prompt, solution in zip(prompts, solutions, strict=True)
        ]
        yield from _pack(rows, batch_tokens, generator)


def _optimise(
    model: torch.nn.Module,
    batches: Iterator[Batch],
    updates: int,
    matrix_rate: float,
    other_rate: float,
    progress: Progress | None,
    head_rate: float = 0.0,
) -> None:
    """Muon on the matrices, AdamW on the rest and on a score head, linear warm-up and cosine decay.

    Muon learns the arithmetic tables several times faster than AdamW alone.
    """
    named = list(model.named_parameters())
    head = [p for name, p in named if name.startswith("score.")]
    hidden = [p for name, p in named if p.ndim == 2 and not name.startswith("score.") and "embed" not in name]
    others = [p for _, p in named if not any(p is known for known in (*head, *hidden))]
    groups = [{"params": others, "lr": other_rate}, {"params": head, "lr": head_rate}]
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(hidden, lr=matrix_rate, weight_decay=0.01, momentum=0.95),
        torch.optim.AdamW([group for group in groups if group["params"]], betas=(0.9, 0.98), weight_decay=0.0),
    ]
    warmup = min(50, updates // 10 + 1)

    def rate(update: int) -> float:
        return min(1, (update + 1) / warmup) * (0.02 + 0.49 * (1 + math.cos(math.pi * update / updates)))

    schedules = [torch.optim.lr_scheduler.LambdaLR(optimiser, rate) for optimiser in optimisers]
    model.train()
    for update in range(updates):
        ids, labels = next(batches)
        logits = model(input_ids=ids).logits
        loss: torch.Tensor = cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        model.zero_grad()
        torch.autograd.backward(loss)
        for optimiser in optimisers:
            optimiser.step()
        for schedule in schedules:
            schedule.step()
        if progress:
            progress(update + 1, updates)
    model.eval()


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def train_language_model(
    training: Training, pretrain: Pretrain, held_out: set[str], folder: Path, progress: Progress | None = None
) -> None:
    """Train a Qwen2 language model and save it in Hugging Face's format.

    Args:
        training: size and length of the training.
        pretrain: seed and mix of problems.
        held_out: questions that must not be trained on.
        folder: where config, tokenizer and safetensors go.
        progress: called with the updates done and their total.
    """
    torch.manual_seed(pretrain.seed)
    tokenizer = build()
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=training.hidden,
            num_hidden_layers=training.layers,
            num_attention_heads=training.heads,
            num_key_value_heads=training.heads,
            intermediate_size=training.intermediate,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    generator = torch.Generator().manual_seed(pretrain.seed)
    problems = training_stream(pretrain.seed, dict(pretrain.shares), held_out, training.mistaken)
    batches = _language_batches(problems, tokenizer, training.batch_tokens, generator)
    _optimise(model, batches, training.updates, training.learning_rate, training.embedding_rate, progress)
    _save(model, tokenizer, folder)


def solve(problems: list[Problem], model: TransformersLM, seed: int, max_steps: int = 30) -> list[tuple[str, ...]]:
    """One sampled solution of each problem, by one model alone."""
    writer = CachedLM(f"{model.id}/{seed}", lambda: model, Draws(), batch_size=256)
    alone = list(AlwaysWeak(None).policies().values())
    return [episode.node.prefix.steps for episode in run(problems, alone, writer, writer, None, max_steps)]


Labels = Callable[[Problem, Sequence[str]], list[int]]


def first_error_labels(problem: Problem, steps: Sequence[str]) -> list[int]:
    """Correctness of each step, up to the first wrong one, as in process supervision by first error."""
    error = first_error(problem, steps)
    return [1] * len(steps) if error < 0 else [1] * error + [0]


def annotated_labels(rng: np.random.Generator, blame: float, memory: int) -> Labels:
    """Labels of an annotator who blames a step for an earlier error, less the longer ago that is.

    A step after an error with its own mistake is always wrong.
    """

    def labels(problem: Problem, steps: Sequence[str]) -> list[int]:
        found = first_error_labels(problem, steps)
        for index in range(len(found), len(steps)):
            since = index - len(first_error_labels(problem, steps))
            sound = follows(problem, index, steps[index], result(steps[index - 1]))
            blamed = rng.random() < blame * max(0.0, 1 - since / memory)
            found.append(int(sound and not blamed))
        return found

    return labels


def _reward_rows(
    problems: list[Problem], solutions: list[tuple[str, ...]], tokenizer: PreTrainedTokenizerFast, labels: Labels
) -> list[tuple[list[int], list[int]]]:
    """Token ids, and at each tag of the steps that have a label that label."""
    tag, rows = tokenizer.convert_tokens_to_ids(PRM_TAG), []
    for problem, steps in zip(problems, solutions, strict=True):
        told = labels(problem, steps)
        ids = tokenizer(_prompt(tokenizer, problem) + "".join(step + PRM_TAG for step in steps[: len(told)]))[
            "input_ids"
        ]
        left = iter(told)
        rows.append((ids, [next(left) if token == tag else IGNORED for token in ids]))
    return rows


def _reward_model_from(folder: Path, tokenizer: PreTrainedTokenizerFast) -> Qwen2ForProcessRewardModel:
    """A reward model that starts from a language model's weights."""
    body = Qwen2ForCausalLM.from_pretrained(folder)
    model = Qwen2ForProcessRewardModel(body.config)
    model.model.load_state_dict(body.model.state_dict())
    # Initialise the tag after a step as the separator, which the language model knows.
    tag, separator = tokenizer.convert_tokens_to_ids([PRM_TAG, SEPARATOR])
    with torch.no_grad():
        model.model.embed_tokens.weight[tag] = model.model.embed_tokens.weight[separator]
    return model


def train_reward_model(
    training: RewardTraining,
    pretrain: Pretrain,
    held_out: set[str],
    weak: Path,
    strong: Path,
    folder: Path,
    progress: Progress | None = None,
) -> None:
    """Train a process reward model on solutions that the language models sampled.

    It starts from the strong model's weights, and first learns from steps up to the first error, then from all
    steps as an annotator labels them.

    Args:
        training: amount of data and length of the training.
        pretrain: seed and mix of problems.
        held_out: questions that must not be trained on.
        weak: folder of the weak model.
        strong: folder of the strong model.
        folder: where config, tokenizer and safetensors go.
        progress: called with the updates done and their total.
    """
    torch.manual_seed(pretrain.seed)
    tokenizer = build()
    stream = training_stream(pretrain.seed + 1, dict(pretrain.shares), held_out)
    problems: list[Problem] = []
    solutions: list[tuple[str, ...]] = []
    for writer, count in ((weak, training.weak_problems), (strong, training.strong_problems)):
        drawn = [next(stream) for _ in range(count)]
        problems += drawn
        solutions += solve(drawn, TransformersLM(writer, _SAMPLING), pretrain.seed)
    model = _reward_model_from(strong, tokenizer)
    generator = torch.Generator().manual_seed(pretrain.seed)

    def epochs(rows: list[tuple[list[int], list[int]]]) -> Iterator[Batch]:
        while True:
            yield from _pack(rows, training.batch_tokens, generator)

    annotated = annotated_labels(np.random.default_rng(pretrain.seed), training.blame, training.memory)
    rates = training.learning_rate, training.learning_rate / 10
    done, whole = 0, sum(training.updates)
    for labels, updates in zip((first_error_labels, annotated), training.updates, strict=True):
        batches = epochs(_reward_rows(problems, solutions, tokenizer, labels))

        def told(update: int, _: int, before: int = done) -> None:
            if progress:
                progress(before + update, whole)

        _optimise(model, batches, updates, *rates, told, training.head_rate)
        done += updates
    _save(model, tokenizer, folder)


Figures = dict[str, dict[str, float]]


def measure_language_model(folder: Path, probes: Mapping[str, list[Problem]]) -> tuple[Figures, int]:
    """Per family: the probability that a step is right given all before it, problems solved, and an AUC.

    The AUC measures the model's own log-probabilities as a classifier of right and first wrong steps.

    Returns:
        The figures, and the number of parameters.
    """
    model = TransformersLM(folder, _SAMPLING)
    figures = {}
    for family, problems in probes.items():
        solutions = solve(problems, model, _PROBE_SEED)
        states = _states(problems, solutions)
        right, errors = sum(s.count(0) for s in states), sum(s.count(2) for s in states)
        solved = sum(AnswerJudge(Draws()).right(problems, [steps[-1] for steps in solutions]))
        prefixes = [
            Prefix(problem.question, steps[: i + 1])
            for problem, steps in zip(problems, solutions, strict=True)
            for i in range(len(steps))
        ]
        logs = [
            s.score
            for start in range(0, len(prefixes), 256)
            for s in model.mean_logprobs(prefixes[start : start + 256])
        ]
        figures[family] = {
            "step right": right / (right + errors),
            "problems solved": solved / len(problems),
            "AUC of its log-probability": _auc(states, logs, wrong=2),
        }
    return figures, model.parameters


def measure_reward_model(folder: Path, writer: Path, probes: Mapping[str, list[Problem]]) -> tuple[Figures, int]:
    """Per family: AUCs of the scores for right steps of `writer` against first wrong ones, and steps after these.

    Returns:
        The figures, and the number of parameters.
    """
    model, language_model = TransformersPRM(folder), TransformersLM(writer, _SAMPLING)
    figures = {}
    for family, problems in probes.items():
        solutions = solve(problems, language_model, _PROBE_SEED)
        states = _states(problems, solutions)
        scores: list[float] = []
        for start in range(0, len(problems), 256):
            chosen = list(zip(problems, solutions, strict=True))[start : start + 256]
            read = model.score([Prefix(p.question, s) for p, s in chosen], [len(s) for _, s in chosen])
            scores += [value.score for row in read for value in row]
        found, state = np.array(scores), np.concatenate(states)
        figures[family] = {
            "AUC": _auc(states, scores, wrong=2),
            "AUC, after an error": _auc(states, scores, wrong=1),
            **{
                f"mean score, {name}": float(found[state == index].mean()) if (state == index).any() else float("nan")
                for index, name in ((0, "right"), (1, "after an error"), (2, "first error"))
            },
        }
    return figures, model.parameters


def _states(problems: Sequence[Problem], solutions: Sequence[Sequence[str]]) -> list[list[int]]:
    """State of every step: 0 if all steps so far are right, 2 for the first wrong one, 1 after it."""
    errors = [first_error(problem, steps) for problem, steps in zip(problems, solutions, strict=True)]
    return [
        [0 if error < 0 or i < error else 2 if i == error else 1 for i in range(len(steps))]
        for error, steps in zip(errors, solutions, strict=True)
    ]


def _auc(states: Sequence[Sequence[int]], values: Sequence[float], wrong: int) -> float:
    """AUC of values for steps in state 0 against those in state `wrong`; NaN if one of these has no steps."""
    state = np.concatenate(states)
    chosen = np.isin(state, [0, wrong])
    if len(np.unique(state[chosen])) < 2:
        return float("nan")
    return float(roc_auc_score(state[chosen] == 0, np.asarray(values)[chosen]))
