"""HybridLLM's router (Ding et al., 2024): a regression of how much better the strong model's answer is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import Field

from trim.routers.query import Labels, QueryRouter


class HybridLLM(QueryRouter):
    """The expected gap in quality, by a small network; quality is whether the answer is right."""

    name = "hybridllm"
    title = "HybridLLM"

    class Params(QueryRouter.Params):
        """Size of the network's hidden layer, and weight of its L2 penalty."""

        hidden: int = Field(32, ge=1)
        penalty: float = Field(100.0, ge=0)

    def learn(self, labels: Labels) -> dict[str, np.ndarray]:
        """See `QueryRouter.learn`."""
        from sklearn.neural_network import MLPRegressor

        model = MLPRegressor(
            hidden_layer_sizes=(self.params.hidden,),
            alpha=self.params.penalty,
            solver="lbfgs",
            max_iter=200,
            random_state=0,
        )
        model.fit(labels.embeddings, labels.strong.astype(float) - labels.weak)
        (first, second), (inner, outer) = model.coefs_, model.intercepts_
        return {"first": first, "second": second[:, 0], "inner": inner, "outer": outer}

    def score(self, embeddings: np.ndarray, learned: Mapping[str, np.ndarray]) -> np.ndarray:
        """See `QueryRouter.score`."""
        hidden = np.maximum(embeddings @ learned["first"] + learned["inner"], 0)
        return hidden @ learned["second"] + learned["outer"][0]
