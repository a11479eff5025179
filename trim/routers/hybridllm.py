"""HybridLLM's router (Ding et al., 2024): a regression of the strong model's advantage in quality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from trim.routers.query import Labels, QueryRouter


class HybridLLM(QueryRouter):
    """The expected gap in quality, by a small network; the quality is the answer's correctness."""

    name = "hybridllm"
    title = "HybridLLM"

    class Params(QueryRouter.Params):
        """Size of the network's hidden layer, and candidate weights of its L2 penalty."""

        hidden: int = Field(16, ge=1)
        penalties: tuple[Annotated[float, Field(ge=0)], ...] = Field((3, 30, 100, 300), min_length=1)

    def learn(self, labels: Labels) -> dict[str, np.ndarray]:
        """See `QueryRouter.learn`; the penalty is chosen by cross-validation on the train split."""
        from sklearn.model_selection import GridSearchCV, KFold
        from sklearn.neural_network import MLPRegressor

        network = MLPRegressor(hidden_layer_sizes=(self.params.hidden,), solver="lbfgs", max_iter=60, random_state=0)
        folds = KFold(3, shuffle=True, random_state=0)
        search = GridSearchCV(network, {"alpha": self.params.penalties}, scoring="neg_mean_squared_error", cv=folds)
        model = search.fit(labels.embeddings, labels.strong.astype(float) - labels.weak).best_estimator_
        (first, second), (inner, outer) = model.coefs_, model.intercepts_
        return {"first": first, "second": second[:, 0], "inner": inner, "outer": outer}

    def score(self, embeddings: np.ndarray, learned: Mapping[str, np.ndarray]) -> np.ndarray:
        """See `QueryRouter.score`."""
        hidden = np.maximum(embeddings @ learned["first"] + learned["inner"], 0)
        return hidden @ learned["second"] + learned["outer"][0]
