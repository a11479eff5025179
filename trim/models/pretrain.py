"""Training the embedded models from scratch, on generated problems."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from trim.draws import Draws, Writer
from trim.episodes import run
from trim.judge import Judge
from trim.models.base import Prefix, Sampling
from trim.models.reward import Qwen2ForProcessRewardModel
from trim.models.tokenizer import build
from trim.models.transformers import TransformersLM, TransformersPRM
from trim.problems import Problem
from trim.problems.checks import first_error
from trim.problems.generated import training_stream
from trim.routers.always import AlwaysWeak
from trim.sections import Pretrain, RewardTraining, Training
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
    """Batches of rows of like length, in random order, padded to (n, length); labels ignore padding."""
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
) -> None:
    """Muon on the matrices, AdamW on the rest, linear warm-up and cosine decay.

    Muon learns the arithmetic tables several times faster than AdamW alone.
    """
    hidden = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(hidden, lr=matrix_rate, weight_decay=0.01, momentum=0.95),
        torch.optim.AdamW(others, lr=other_rate, betas=(0.9, 0.98), weight_decay=0.0),
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
        progress: told updates done, of how many.
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
    problems = training_stream(pretrain.seed, dict(pretrain.shares), held_out)
    batches = _language_batches(problems, tokenizer, training.batch_tokens, generator)
    _optimise(model, batches, training.updates, training.learning_rate, training.embedding_rate, progress)
    _save(model, tokenizer, folder)


def solve(problems: list[Problem], model: TransformersLM, seed: int, max_steps: int = 30) -> list[tuple[str, ...]]:
    """One sampled solution of each problem, by one model alone."""
    writer = Writer(f"{model.id}/{seed}", lambda: model, Draws(), batch_size=256)
    alone = list(AlwaysWeak(None).policies().values())
    return [episode.node.prefix.steps for episode in run(problems, alone, writer, writer, None, max_steps)]


def _reward_rows(
    problems: list[Problem], solutions: list[tuple[str, ...]], tokenizer: PreTrainedTokenizerFast
) -> list[tuple[list[int], list[int]]]:
    """Token ids, and at each tag up to the first error whether the step is right."""
    tag, rows = tokenizer.convert_tokens_to_ids(PRM_TAG), []
    for problem, steps in zip(problems, solutions, strict=True):
        error = first_error(problem, steps)
        read = steps if error < 0 else steps[: error + 1]
        ids = tokenizer(_prompt(tokenizer, problem) + "".join(step + PRM_TAG for step in read))["input_ids"]
        labels, seen = [IGNORED] * len(ids), 0
        for position, token in enumerate(ids):
            if token == tag:
                labels[position] = int(seen != error)
                seen += 1
        rows.append((ids, labels))
    return rows


def _reward_model_from(folder: Path, tokenizer: PreTrainedTokenizerFast) -> Qwen2ForProcessRewardModel:
    """A reward model that starts from a language model's weights."""
    body = Qwen2ForCausalLM.from_pretrained(folder)
    model = Qwen2ForProcessRewardModel(body.config)
    model.model.load_state_dict(body.model.state_dict())
    # To the language model, the tag after a step is the separator that it knows.
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

    It starts from the strong model's weights. Steps after the first error are not learned
    from, as in process supervision by first error.

    Args:
        training: amount of data and length of the training.
        pretrain: seed and mix of problems.
        held_out: questions that must not be trained on.
        weak: folder of the weak model.
        strong: folder of the strong model.
        folder: where config, tokenizer and safetensors go.
        progress: told updates done, of how many.
    """
    torch.manual_seed(pretrain.seed)
    tokenizer = build()
    stream = training_stream(pretrain.seed + 1, dict(pretrain.shares), held_out)
    rows = []
    for writer, count in ((weak, training.weak_problems), (strong, training.strong_problems)):
        problems = [next(stream) for _ in range(count)]
        solutions = solve(problems, TransformersLM(writer, _SAMPLING), pretrain.seed)
        rows += _reward_rows(problems, solutions, tokenizer)
    model = _reward_model_from(strong, tokenizer)
    generator = torch.Generator().manual_seed(pretrain.seed)

    def epochs() -> Iterator[Batch]:
        while True:
            yield from _pack(rows, training.batch_tokens, generator)

    _optimise(model, epochs(), training.updates, training.learning_rate, training.learning_rate / 10, progress)
    _save(model, tokenizer, folder)


Figures = dict[str, dict[str, float]]


def measure_language_model(folder: Path, probes: Mapping[str, list[Problem]]) -> tuple[Figures, int]:
    """Per family: the probability that a step is right given all before it, and problems solved.

    Returns:
        The figures, and the number of parameters.
    """
    model = TransformersLM(folder, _SAMPLING)
    figures = {}
    for family, problems in probes.items():
        solutions = solve(problems, model, _PROBE_SEED)
        errors = [first_error(p, s) for p, s in zip(problems, solutions, strict=True)]
        right = sum(len(s) if e < 0 else e for s, e in zip(solutions, errors, strict=True))
        reached = right + sum(e >= 0 for e in errors)
        solved = sum(Judge(Draws()).right(problems, [steps[-1] for steps in solutions]))
        figures[family] = {"step right": right / reached, "problems solved": solved / len(problems)}
    return figures, model.parameters


def measure_reward_model(folder: Path, writer: Path, probes: Mapping[str, list[Problem]]) -> tuple[Figures, int]:
    """Per family: how well the scores tell right steps from first wrong steps of `writer`.

    Returns:
        The figures, and the number of parameters.
    """
    model, language_model = TransformersPRM(folder), TransformersLM(writer, _SAMPLING)
    figures = {}
    for family, problems in probes.items():
        solutions = solve(problems, language_model, _PROBE_SEED)
        scores: list[float] = []
        right: list[bool] = []
        for start in range(0, len(problems), 256):
            chosen = list(zip(problems, solutions, strict=True))[start : start + 256]
            read = model.score([Prefix(p.question, s) for p, s in chosen], [len(s) for _, s in chosen])
            for (problem, steps), values in zip(chosen, read, strict=True):
                error = first_error(problem, steps)
                counted = values if error < 0 else values[: error + 1]
                scores += [value.score for value in counted]
                right += [index != error for index in range(len(counted))]
        found, is_right = np.array(scores), np.array(right)
        figures[family] = {
            "AUC": float(roc_auc_score(is_right, found)),
            "mean score, right": float(found[is_right].mean()),
            "mean score, wrong": float(found[~is_right].mean()),
        }
    return figures, model.parameters
