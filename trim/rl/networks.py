"""Policies of many runs at once: every parameter has a leading axis for the M members of an ensemble.

Members share no parameter, so that one backward pass trains M policies (of other costs, other
seeds) for little more than the time of one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from trim.rl.features import feature_names


class Linear(nn.Module):
    """M linear layers with orthogonal weights, (M, N, inputs) -> (M, N, outputs)."""

    def __init__(self, members: int, inputs: int, outputs: int, gain: float = 2**0.5) -> None:
        super().__init__()
        weights = [nn.init.orthogonal_(torch.empty(outputs, inputs), gain).T for _ in range(members)]
        self.weight = nn.Parameter(torch.stack(weights).contiguous())
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Apply each member's layer."""
        return torch.baddbmm(self.bias, x, self.weight)


class Layer(nn.Module):
    """Linear, LayerNorm, tanh, dropout (paper, TRIM-Agg)."""

    def __init__(self, members: int, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.linear, self.dropout = Linear(members, inputs, outputs), dropout
        self.scale = nn.Parameter(torch.ones(members, 1, outputs))
        self.shift = nn.Parameter(torch.zeros(members, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Apply each member's layer."""
        x = self.linear(x)
        x = torch.tanh(layer_norm(x, x.shape[-1:]) * self.scale + self.shift)
        return dropout(x, self.dropout) if self.training and self.dropout else x


def dropout(x: Tensor, share: float) -> Tensor:
    """Drop a share of the entries, in steps of 1/256: torch's own takes as long as all else in a layer."""
    bits = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    dropped = round(256 * share)
    kept = bits.view(torch.uint8)[: x.numel()].view(x.shape) >= dropped
    return x * kept * (256 / (256 - dropped))


class Recurrence(nn.Module):
    """M gated recurrent units (Cho et al., 2014) of a state (M, n, size)."""

    def __init__(self, members: int, inputs: int, size: int) -> None:
        super().__init__()
        self.from_input, self.from_state = Linear(members, inputs, 3 * size, 1.0), Linear(members, size, 3 * size, 1.0)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        """The states after each step of a sequence (T, M, n, inputs), shape (T, M, n, size)."""
        length, members, n, _ = x.shape
        inputs = self.from_input(x.transpose(0, 1).flatten(1, 2)).view(members, length, n, -1)
        states = []
        for x_t in inputs.unbind(1):
            reset_x, update_x, new_x = x_t.chunk(3, dim=-1)
            reset_h, update_h, new_h = self.from_state(state).chunk(3, dim=-1)
            update = torch.sigmoid(update_x + update_h)
            new = torch.tanh(new_x + torch.sigmoid(reset_x + reset_h) * new_h)
            state = torch.lerp(new, state, update)
            states.append(state)
        return torch.stack(states)


class ActorCritic(nn.Module):
    """Logit of rewriting, and value, at each step of a solution.

    Args:
        members: M.
        hidden: size of the layers.
        recurrent: True if the policy remembers the earlier steps (TRIM-Seq), False if it observes only
            the current features (TRIM-Agg).
        conditioned: True if the cost of a strong token is an input.
        informed: True if the weak model's log-probability of each draft is an input beside the score.
        dropout: share of units dropped in training.
    """

    def __init__(
        self,
        members: int,
        hidden: int = 64,
        recurrent: bool = False,
        conditioned: bool = False,
        informed: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.members, self.hidden = members, hidden
        self.recurrent, self.conditioned, self.informed = recurrent, conditioned, informed
        names = feature_names(recurrent, conditioned, informed)
        inputs = len(names)
        self.scores: Tensor
        self.register_buffer("scores", torch.tensor(["score" in name for name in names]), persistent=False)
        self.recurrence = Recurrence(members, inputs, hidden) if recurrent else None
        width = inputs + hidden if recurrent else inputs
        self.actor, self.critic = (
            nn.Sequential(
                Layer(members, width, hidden, dropout),
                Layer(members, hidden, hidden, dropout),
                Linear(members, hidden, 1, gain),
            )
            for gain in (0.01, 1.0)
        )

    def start(self, n: int) -> Tensor:
        """The state before the first step of n solutions, shape (M, n, hidden)."""
        return torch.zeros(self.members, n, self.hidden)

    def step(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits and values, shape (M, n), and the state after a step with features (M, n, F)."""
        features, states = self._remember(features[None], state)
        return self.actor(features[0])[..., 0], self.critic(features[0])[..., 0], states[-1]

    def last(self, features: Tensor) -> Tensor:
        """Logits of the last step, shape (M, n), of solutions so far, features (T, M, n, F)."""
        features, _ = self._remember(features, self.start(features.shape[2]))
        return self.actor(features[-1])[..., 0]

    def forward(self, features: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and values at places (M, L) in T * n of whole solutions with features (T, M, n, F)."""
        features, _ = self._remember(features, self.start(features.shape[2]))
        flat = features.transpose(0, 1).flatten(1, 2)
        chosen = flat.gather(1, places[..., None].expand(-1, -1, flat.shape[2]))
        return self.actor(chosen)[..., 0], self.critic(chosen)[..., 0]

    def _remember(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Features with the memory at each step beside them, if there is one, and the states."""
        # Scores by their logits, since steps differ most near 1.
        features = torch.where(self.scores, torch.special.logit(features, eps=1e-4) / 4, features)
        if self.recurrence is None:
            return features, state[None]
        states = self.recurrence(features, state)
        return torch.cat([features, states], dim=-1), states
