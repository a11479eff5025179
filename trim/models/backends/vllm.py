"""The `vllm` backend, in process: continuous batching and prefix caching, on GPUs or, with the CPU build, without."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trim.errors import TrimError, first_line
from trim.models.base import (
    IMPOSSIBLE,
    MOST_PROBABLE,
    Draft,
    KeepDraft,
    KeepScores,
    Prefix,
    StepScore,
    StepStates,
    Stop,
    entropy,
)
from trim.models.files import folder
from trim.models.prompt import Prompt, at_tags, cut_to, read_tokenizer, step_tag
from trim.models.settings import Dtype, Engine, Model, Sampling
from trim.models.weights import check_folder
from trim.rng import seed
from trim.steps import PLAIN, SEPARATOR, ChatFormat, first, tagged

_AT_ONCE = 1024  # prompts whose tokens' log-probabilities or hidden states are held at once
_CPU_CACHE = "1"  # GiB for keys and values, unless VLLM_CPU_KVCACHE_SPACE says otherwise


@contextmanager
def _placed(devices: tuple[int, ...] | None) -> Iterator[None]:
    """Make only these of the visible GPUs visible to the processes started within.

    A job of one model may have fewer GPUs than `devices` names; it uses those it has.
    """
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = before.split(",") if before else [str(i) for i in range(torch.cuda.device_count())]
    if devices is None or not visible:
        yield
        return
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(dict.fromkeys(visible[i % len(visible)] for i in devices))
    try:
        yield
    finally:
        os.environ.pop("CUDA_VISIBLE_DEVICES")
        if before is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def _load(folder: Path, dtype: Dtype, engine: Engine, what: str, **options: Any) -> Any:
    """An engine in its own processes.

    Raises:
        TrimError: if vLLM is not installed, or the folder does not hold the model whole.
    """
    check_folder(folder, what)
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", _CPU_CACHE)
    try:
        from vllm import LLM
    except ImportError as error:
        raise TrimError(
            "the backend vllm is not installed; `pip install -e .[vllm]`, or without a GPU `make vllm`"
        ) from error
    # Without a GPU a prompt must be read in one piece: a split request cannot rewind its random stream there.
    # # And compiling takes longer there than running small models.
    whole = {} if torch.cuda.is_available() else {"enable_chunked_prefill": False, "enforce_eager": True}
    try:
        with _placed(engine.devices):
            return LLM(
                str(folder),
                dtype=dtype,
                tensor_parallel_size=engine.tensor_parallel,
                gpu_memory_utilization=engine.memory,
                max_model_len=engine.context,
                disable_log_stats=True,
                seed=0,
                load_format="safetensors",
                trust_remote_code=False,
                **whole,
                **options,
            )
    except Exception as error:
        raise TrimError(f"{folder}: vLLM cannot run it ({first_line(error)})") from error


class VllmLM:
    """A causal language model in vLLM.

    Args:
        folder: config, tokenizer with chat template, and safetensors.
        sampling: sampling of tokens.
        chat: prompt format of a solution.
        dtype: float32 or bfloat16.
        thinking: let the model think first, for chat templates with this switch.
        engine: memory and devices.
    """

    def __init__(
        self,
        folder: Path,
        sampling: Sampling,
        chat: ChatFormat = PLAIN,
        dtype: Dtype = "bfloat16",
        thinking: bool | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.sampling, self.tokenizer = sampling, read_tokenizer(folder)
        self.prompt = Prompt(self.tokenizer, chat, thinking)
        self.engine = _load(folder, dtype, engine or Engine(), "language model", enable_prefix_caching=True)
        self._context: int = self.engine.model_config.max_model_len

    def prompt_tokens(self, prefixes: Sequence[Prefix]) -> list[int]:
        """See `LanguageModel.prompt_tokens`."""
        return self.prompt.lengths(prefixes)

    def next_steps(
        self, prefixes: Sequence[Prefix], keys: Sequence[bytes], keep: KeepDraft | None = None
    ) -> list[Draft]:
        """See `LanguageModel.next_steps`; a prefix that fills the context gets an empty draft."""
        ids = self.prompt.ids(prefixes, [p.text for p in prefixes])
        drafts = [Draft("", 0, "length")] * len(ids)
        fitting = [i for i, tokens in enumerate(ids) if len(tokens) < self._context]
        outputs = self.engine.generate(
            [{"prompt_token_ids": ids[i]} for i in fitting],
            [self._parameters(prefixes[i], keys[i], self._context - len(ids[i])) for i in fitting],
            use_tqdm=False,
        )
        for i, output in zip(fitting, outputs, strict=True):
            drafts[i] = self._draft(output.outputs[0])
        return drafts

    def mean_logprobs(self, solutions: Sequence[Prefix], keep: KeepScores | None = None) -> list[StepScore]:
        """See `LanguageModel.mean_logprobs`; a solution that fills the context counts as impossible."""
        ids, starts = self.prompt.last_steps(solutions)
        scores = [StepScore(IMPOSSIBLE, 0)] * len(ids)
        for i, output in self._one_token(ids, prompt_logprobs=0):
            entries = output.prompt_logprobs[starts[i] :]
            logs = [entry[token].logprob for entry, token in zip(entries, ids[i][starts[i] :], strict=True)]
            scores[i] = StepScore(sum(logs) / len(logs), len(logs))
        return scores

    def first_entropies(self, prefixes: Sequence[Prefix], keep: KeepScores | None = None) -> list[StepScore]:
        """See `LanguageModel.first_entropies`; 0 if a prefix fills the context."""
        ids = self.prompt.ids(prefixes, [p.text for p in prefixes])
        scores = [StepScore(0.0, 0)] * len(ids)
        for i, output in self._one_token(ids, logprobs=MOST_PROBABLE):
            logs = sorted((token.logprob for token in output.outputs[0].logprobs[0].values()), reverse=True)
            scores[i] = StepScore(entropy(np.array(logs[:MOST_PROBABLE])), 0)
        return scores

    def statistics(self, ids: Sequence[list[int]], starts: Sequence[int]) -> np.ndarray:
        """See `StepStates.statistics`; all are `IMPOSSIBLE` for a solution that fills the context.

        Args:
            ids: token ids of whole solutions.
            starts: index of the first token of each last step.
        """
        statistics = np.full((len(ids), 4), IMPOSSIBLE, dtype=np.float32)
        for i, output in self._one_token(ids, prompt_logprobs=MOST_PROBABLE):
            step = list(zip(output.prompt_logprobs[starts[i] :], ids[i][starts[i] :], strict=True))
            logprobs = [entry[token].logprob for entry, token in step]
            most = [sorted((t.logprob for t in e.values() if t.rank <= MOST_PROBABLE), reverse=True) for e, _ in step]
            margins = [np.exp(logs[0]) - np.exp(logs[1]) for logs in most]
            statistics[i] = np.mean(logprobs), min(logprobs), min(margins), entropy(np.array(most[0]))
        return statistics

    def _one_token(self, ids: Sequence[list[int]], **asked: int) -> Iterator[tuple[int, Any]]:
        """Prompts continued by one token, with their indices; those that fill the context are left out."""
        from vllm import SamplingParams

        parameters = SamplingParams(max_tokens=1, temperature=0, **asked)
        for places, prompts in _in_batches(ids, self._context - 1):
            yield from zip(places, self.engine.generate(prompts, parameters, use_tqdm=False), strict=True)

    def _parameters(self, prefix: Prefix, key: bytes, room: int) -> Any:
        from vllm import SamplingParams

        sampling = self.sampling.of(prefix)
        return SamplingParams(
            temperature=1.0 if sampling.temperature is None else sampling.temperature,
            top_p=1.0 if sampling.top_p is None else sampling.top_p,
            top_k=sampling.top_k or 0,
            repetition_penalty=sampling.repetition_penalty,
            max_tokens=min(sampling.max_step_tokens, room),
            stop=[SEPARATOR],
            seed=seed(key),
        )

    def _draft(self, output: Any) -> Draft:
        tokens = list(output.token_ids)
        stop: Stop = "length"
        if output.finish_reason == "stop":
            stop = "separator" if output.stop_reason == SEPARATOR else "end"
        text = self.tokenizer.decode(tokens, skip_special_tokens=True)
        return Draft(first(text) if stop == "separator" else text, len(tokens), stop)


def _in_batches(ids: Sequence[list[int]], most: int) -> Iterator[tuple[list[int], list[Any]]]:
    """Prompts of at most `most` tokens, with their indices, in batches small enough for their outputs."""
    fitting = [i for i, tokens in enumerate(ids) if len(tokens) <= most]
    for places in (fitting[i : i + _AT_ONCE] for i in range(0, len(fitting), _AT_ONCE)):
        yield places, [{"prompt_token_ids": ids[i]} for i in places]


def _hidden(folder: Path, dtype: Dtype, engine: Engine, ids: Sequence[list[int]]) -> np.ndarray:
    """Hidden states at the last token of each prompt, shape (n, width); 0 where it does not fit in the context."""
    from vllm import PoolingParams
    from vllm.config import PoolerConfig

    options = {"runner": "pooling", "convert": "embed", "pooler_config": PoolerConfig(task="token_embed")}
    reader = _load(folder, dtype, engine, "language model", **options)
    asked = PoolingParams(use_activation=False)
    hidden = np.zeros((len(ids), reader.model_config.get_hidden_size()), dtype=np.float32)
    for places, prompts in _in_batches(ids, reader.model_config.max_model_len):
        outputs = reader.encode(prompts, asked, pooling_task="token_embed", use_tqdm=False)
        hidden[places] = np.stack([torch.as_tensor(output.outputs.data)[-1].float().numpy() for output in outputs])
    _close(reader)
    return hidden


def _close(engine: Any) -> None:
    """End an engine's processes, which frees its memory for another one."""
    engine.llm_engine.engine_core.shutdown()


class VllmPRM:
    """A process reward model in the format of Qwen2.5-Math-PRM, in vLLM.

    Args:
        folder: a `Qwen2ForProcessRewardModel` with its tokenizer.
        chat: prompt format of a solution.
        dtype: float32 or bfloat16.
        engine: memory and devices.
    """

    def __init__(
        self, folder: Path, chat: ChatFormat = PLAIN, dtype: Dtype = "bfloat16", engine: Engine | None = None
    ) -> None:
        tokenizer = read_tokenizer(folder)
        self.prompt = Prompt(tokenizer, chat)
        self.tag = step_tag(tokenizer, folder)
        self.engine = _load(folder, dtype, engine or Engine(), "reward model", runner="pooling")

    def prompt_tokens(self, prefixes: Sequence[Prefix]) -> list[int]:
        """See `RewardModel.prompt_tokens`."""
        return self.prompt.lengths(prefixes)

    def score(
        self,
        solutions: Sequence[Prefix],
        last: Sequence[int],
        keep: KeepScores | None = None,
    ) -> list[list[StepScore]]:
        """See `RewardModel.score`."""
        from vllm import PoolingParams

        whole = self.prompt.ids(solutions, [tagged(s.steps) for s in solutions])
        ids = cut_to(whole, self.engine.model_config.max_model_len, self.engine.model_config.model)
        # The pooler's own activation is switched off, so that the softmax is taken exactly once, here.
        outputs = self.engine.encode(
            [{"prompt_token_ids": tokens} for tokens in ids],
            PoolingParams(step_tag_id=self.tag, use_activation=False),
            pooling_task="token_classify",
            use_tqdm=False,
        )
        return [
            at_tags(torch.as_tensor(output.outputs.data).float().softmax(-1)[:, 1].tolist(), tokens, self.tag, *counts)
            for output, tokens, *counts in zip(outputs, whole, last, self.prompt_tokens(solutions), strict=True)
        ]


ANY_STEP = False


def language_model(model: Model, sampling: Sampling, chat: ChatFormat, spending: Path | None = None) -> VllmLM:
    """See `trim.models.backends`."""
    return VllmLM(folder(model), sampling, chat, model.dtype, model.thinking, model.engine)


def step_states(model: Model, chat: ChatFormat, solutions: Sequence[Prefix]) -> StepStates:
    """See `trim.models.backends`; one engine gives log-probabilities, and after it another one hidden states."""
    lm = language_model(model, Sampling(), chat)
    ids, starts = lm.prompt.last_steps(solutions)
    statistics = lm.statistics(ids, starts)
    _close(lm.engine)
    return StepStates(statistics, _hidden(folder(model), model.dtype, model.engine, ids))


def reward_model(model: Model, chat: ChatFormat, spending: Path | None = None) -> VllmPRM:
    """See `trim.models.backends`."""
    return VllmPRM(folder(model), chat, model.dtype, model.engine)
