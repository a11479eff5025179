"""The architecture of Qwen2.5-Math-PRM: a Qwen2 body with a two-layer score head per token."""

from __future__ import annotations

import torch
from torch import nn
from transformers import Cache, Qwen2Config, Qwen2Model, Qwen2PreTrainedModel
from transformers.modeling_outputs import TokenClassifierOutput


class Qwen2ForProcessRewardModel(Qwen2PreTrainedModel):
    """Two logits at every token; those at the tags after each step are the scores.

    Parameter names are those of the published checkpoints, which load unchanged and without
    running their code. With `score_heads` in its configuration, a model has this many heads in one: the inner layer is
    wider by this factor, and the output is their mean.
    """

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__(config)
        self.model = Qwen2Model(config)
        width = config.hidden_size * getattr(config, "score_heads", 1)
        self.score = nn.Sequential(nn.Linear(config.hidden_size, width), nn.ReLU(), nn.Linear(width, 2))
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
    ) -> TokenClassifierOutput:
        """Logits of shape (n, length, 2) for tokens of shape (n, length)."""
        hidden = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=past_key_values is not None,
        ).last_hidden_state
        return TokenClassifierOutput(logits=self.score(hidden))
