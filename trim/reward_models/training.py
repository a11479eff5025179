"""Training a reward model on labelled solutions, and calibrating its scores.

For robustness to noise, it is trained with noise on the score's logit, on smoothed labels, and with several heads. The
scale and shift of the logit are fitted last, on held-out problems under the same noise, and are folded into the head,
so that the checkpoint has the usual format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import (
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2Model,
    get_cosine_schedule_with_warmup,
)

from trim.errors import TrimError
from trim.models.prm import Qwen2ForProcessRewardModel
from trim.models.prompt import Prompt, read_tokenizer
from trim.models.settings import Dtype
from trim.models.weights import load_whole
from trim.reward_models.examples import Example
from trim.reward_models.hyperparameters import TrainedRewardModel
from trim.steps import PRM_TAG, SEPARATOR, ChatFormat, tagged

_HELD_OUT = 10  # one problem in this many is held out for the calibration
_DRAWS = 8  # of the noise on each of their scores
_GRADIENT_NORM = 1.0
Progress = Callable[[int, int], None]


class _Row(NamedTuple):
    """One solution as tokens.

    Attributes:
        ids: tokens.
        places: the tags of the steps that have labels.
        labels: their labels.
    """

    ids: list[int]
    places: np.ndarray
    labels: np.ndarray


class Fit(NamedTuple):
    """A trained model, and its results on the held-out problems.

    Attributes:
        model, tokenizer: the model and its tokenizer.
        figures: numbers of solutions, mean binary cross-entropy and AUC of the scores, scale and shift of the logit.
    """

    model: Qwen2ForProcessRewardModel
    tokenizer: PreTrainedTokenizerFast
    figures: dict[str, float]

    def save(self, folder: Path) -> None:
        """Write the model in Hugging Face's format."""
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def fit(
    start: Path,
    dtype: Dtype,
    settings: TrainedRewardModel,
    chat: ChatFormat,
    examples: Sequence[Example],
    progress: Progress | None = None,
) -> Fit:
    """Train a reward model.

    Args:
        start: folder of the model that it starts from.
        dtype: precision of the frozen weights; trained ones have 32 bits.
        settings: settings of the training.
        chat: prompt format of a solution.
        examples: labelled solutions; one problem in ten is held out.
        progress: called with the updates done and their total.

    Raises:
        TrimError: if the model is neither a Qwen2 nor a Llama, or there are too few examples.
    """
    torch.manual_seed(settings.seed)
    model, tokenizer = _begin(start, dtype, settings)
    prompt, rng = Prompt(tokenizer, chat), np.random.default_rng(settings.seed)
    labelled = [example for example in examples if np.isfinite(example.labels).any()]
    rows = _rows(labelled, prompt, tokenizer)
    is_held_out = np.array([example.problem % _HELD_OUT == 0 for example in labelled], dtype=bool)
    learned, held_out = (
        [row for row, out in zip(rows, is_held_out, strict=True) if out == side] for side in (False, True)
    )
    if not learned or not held_out:
        raise TrimError(f"{len(rows)} labelled solutions are too few to train a reward model; raise the train split")
    _adapt(model, settings)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device).train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=settings.learning_rate)
    schedule = get_cosine_schedule_with_warmup(optimiser, min(50, settings.updates // 10 + 1), settings.updates)
    batches = _batches(learned, settings.batch_tokens, rng)
    for update in range(settings.updates):
        batch = next(batches)
        logits = _margins(model, batch)  # of every head
        logits = logits + settings.noise * torch.randn_like(logits)
        labels = torch.from_numpy(np.concatenate([row.labels for row in batch])).float().to(device)
        labels = (labels * (1 - settings.smoothing) + settings.smoothing / 2)[:, None].expand_as(logits)
        loss = binary_cross_entropy_with_logits(logits, labels)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(weights, _GRADIENT_NORM)
        optimiser.step()
        schedule.step()
        if progress:
            progress(update + 1, settings.updates)
    if settings.tune == "lora":
        model.model = model.model.merge_and_unload()
    return Fit(model, tokenizer, _calibrate(model.eval(), held_out, settings) | {"solutions": len(learned)})


def _begin(
    start: Path, dtype: Dtype, settings: TrainedRewardModel
) -> tuple[Qwen2ForProcessRewardModel, PreTrainedTokenizerFast]:
    """The model before training; a language model's body gets a head, and its tokenizer the steps' tag."""
    tokenizer, precision = read_tokenizer(start), getattr(torch, dtype if settings.tune != "all" else "float32")
    if settings.start == "prm":
        old = load_whole(Qwen2ForProcessRewardModel, start, precision, "reward model")
        if settings.heads == 1 and getattr(old.config, "score_heads", 1) == 1:
            return old, tokenizer
        body = old.model
    else:
        language_model = load_whole(AutoModelForCausalLM, start, precision, "language model")
        _know_tag(language_model, tokenizer)
        body = _as_qwen2(language_model, start)
    body.config.score_heads = settings.heads
    model = Qwen2ForProcessRewardModel(body.config)
    model.model = body
    return model, tokenizer


def _as_qwen2(model: PreTrainedModel, start: Path) -> nn.Module:
    """The body of a language model for a reward model; a Llama is a Qwen2 whose attention has biases of 0."""
    kind, body = model.config.model_type, model.model
    if kind == "qwen2":
        return body
    if kind != "llama" or model.config.attention_bias or model.config.mlp_bias:
        raise TrimError(f"{start}: a {kind}; reward models start from a qwen2, or a llama without biases")
    shared = Qwen2Config().to_dict().keys() & model.config.to_dict().keys() - {"model_type", "architectures"}
    qwen2 = Qwen2Model(Qwen2Config(**{key: getattr(model.config, key) for key in shared})).to(model.dtype)
    missing = qwen2.load_state_dict(body.state_dict(), strict=False).missing_keys
    for name in missing:
        nn.init.zeros_(qwen2.get_parameter(name))
    assert all(name.endswith("_proj.bias") for name in missing)
    return qwen2


def _know_tag(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Initialise the tag after a step as the separator, which a language model knows."""
    tokenizer.add_special_tokens({"additional_special_tokens": [PRM_TAG]})
    tag = tokenizer.convert_tokens_to_ids(PRM_TAG)
    separator = tokenizer(SEPARATOR, add_special_tokens=False)["input_ids"][-1]
    rows = max(len(tokenizer), model.get_input_embeddings().weight.shape[0])
    embeddings = model.resize_token_embeddings(rows)
    with torch.no_grad():
        embeddings.weight[tag] = embeddings.weight[separator]


def _adapt(model: Qwen2ForProcessRewardModel, settings: TrainedRewardModel) -> None:
    """Select the trained weights."""
    model.score.float()
    if settings.tune == "all":
        return
    model.model.requires_grad_(False)
    if settings.tune == "lora":
        from peft import LoraConfig, get_peft_model

        adapters = LoraConfig(r=settings.rank, lora_alpha=2 * settings.rank, target_modules="all-linear")
        model.model = get_peft_model(model.model, adapters)


def _rows(examples: Sequence[Example], prompt: Prompt, tokenizer: PreTrainedTokenizerFast) -> list[_Row]:
    prefixes = [example.prefix for example in examples]
    turns = [tagged(prefix.steps, prefix.separator) for prefix in prefixes]
    tag = tokenizer.convert_tokens_to_ids(PRM_TAG)
    rows = []
    for ids, example in zip(prompt.ids(prefixes, turns), examples, strict=True):
        places, labelled = np.flatnonzero(np.array(ids) == tag), np.isfinite(example.labels)
        rows.append(_Row(ids, places[labelled], example.labels[labelled]))
    return rows


def _batches(rows: Sequence[_Row], tokens: int, rng: np.random.Generator) -> Iterator[list[_Row]]:
    """Batches of rows of similar length, in random order, endlessly."""
    batches: list[list[_Row]] = [[]]
    for row in sorted(rows, key=lambda row: len(row.ids)):
        if batches[-1] and (len(batches[-1]) + 1) * len(row.ids) > tokens:
            batches.append([])
        batches[-1].append(row)
    while True:
        yield from (batches[i] for i in rng.permutation(len(batches)))


def _margins(model: Qwen2ForProcessRewardModel, rows: Sequence[_Row]) -> torch.Tensor:
    """Logit that a step is right at each label's place by each head, shape (labels, heads)."""
    width = max(len(row.ids) for row in rows)
    ids = torch.tensor([row.ids + [0] * (width - len(row.ids)) for row in rows]).to(model.device)
    hidden = model.model(input_ids=ids).last_hidden_state  # padding comes last and is not read
    at_row = np.repeat(np.arange(len(rows)), [len(row.places) for row in rows])
    at = hidden[at_row, np.concatenate([row.places for row in rows])]
    inner, outer = _head(model)
    heads = outer.in_features // inner.in_features
    features = inner(at.to(inner.weight.dtype)).relu().unflatten(-1, (heads, -1))
    by_head = torch.einsum("nkh,ckh->nkc", features, outer.weight.unflatten(-1, (heads, -1)))
    logits = heads * by_head + outer.bias  # whose mean over the heads is the model's
    return logits[..., 1] - logits[..., 0]


def _head(model: Qwen2ForProcessRewardModel) -> tuple[nn.Linear, nn.Linear]:
    """Both layers of the score head."""
    inner, _, outer = model.score
    assert isinstance(inner, nn.Linear) and isinstance(outer, nn.Linear)
    return inner, outer


@torch.no_grad()
def _calibrate(
    model: Qwen2ForProcessRewardModel, rows: Sequence[_Row], settings: TrainedRewardModel
) -> dict[str, float]:
    """Fold scale and shift of the logit into the head: those of the least cross-entropy under the noise.

    Without noise that is Platt's scaling (1999).
    """
    from scipy.optimize import minimize
    from scipy.special import expit
    from sklearn.metrics import roc_auc_score

    ordered = sorted(rows, key=lambda row: len(row.ids))
    parts = [_margins(model, ordered[i : i + 64]).mean(-1) for i in range(0, len(ordered), 64)]
    margins = torch.cat(parts).double().cpu().numpy()
    labels = np.concatenate([row.labels for row in ordered])
    noise = settings.noise * np.random.default_rng(settings.seed).normal(size=(_DRAWS, len(labels)))

    def loss(values: np.ndarray) -> float:
        logits = np.exp(values[0]) * margins + values[1] + noise
        return float(np.mean(np.logaddexp(0, logits) - labels * logits))

    scale, shift = minimize(loss, [0.0, 0.0], method="Nelder-Mead").x
    _, outer = _head(model)
    outer.weight.mul_(np.exp(scale))
    outer.bias.mul_(np.exp(scale))
    outer.bias[1] += shift
    scores = expit(np.exp(scale) * margins + shift)
    report = {"held_out_loss": loss(np.array([scale, shift])), "scale": float(np.exp(scale)), "shift": float(shift)}
    right = labels > 0.5
    auc = float(roc_auc_score(right, scores)) if 0 < right.mean() < 1 else float("nan")
    return report | {"auc": auc, "held_out": len(rows)}
