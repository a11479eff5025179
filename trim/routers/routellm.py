"""RouteLLM's routers (Ong et al., 2024): learned from each question's winning model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from trim.routers.query import Labels, QueryRouter, unit


class RouteLLM(QueryRouter):
    """Probability that the strong model wins, by one of three methods.

    similarity: the Bradley-Terry model of the query, where each train problem weighs
    `sharpness` to the power of 1 + its cosine similarity over the greatest one; with two models
    the coefficients have a closed form. factorisation: w . (v_m * (W x + b)) scores model m on
    the embedding x, trained by the logistic loss of the difference. classifier: multinomial
    logistic regression in place of a fine-tuned encoder's head.
    """

    name = "routellm"
    title = "RouteLLM"

    class Params(QueryRouter.Params):
        """The estimate of that probability.

        Attributes:
            method: the predictor of the strong model's win rate: similarity, factorisation or classifier.
            sharpness: base of the similarity's weights (RouteLLM: 10).
            rank: rank of the factorisation.
        """

        method: Literal["similarity", "factorisation", "classifier"] = "classifier"
        sharpness: float = Field(10, gt=1)
        rank: int = Field(32, ge=1)

    def learn(self, labels: Labels) -> dict[str, np.ndarray]:
        """See `QueryRouter.learn`."""
        if self.params.method == "similarity":
            return {"known": unit(labels.embeddings), "preference": labels.preference}
        if self.params.method == "factorisation":
            return _factorised(labels.embeddings, labels.preference, self.params.rank)
        return _classified(labels.embeddings, labels.preference)

    def score(self, embeddings: np.ndarray, learned: Mapping[str, np.ndarray]) -> np.ndarray:
        """See `QueryRouter.score`."""
        from scipy.special import expit, softmax

        if self.params.method == "similarity":
            alike = unit(embeddings) @ learned["known"].T
            weights = self.params.sharpness ** (1 + alike / alike.max(axis=1, keepdims=True))
            return weights @ learned["preference"] / weights.sum(axis=1)
        if self.params.method == "factorisation":
            hidden = embeddings @ learned["projection"].T + learned["bias"]
            apart = learned["models"][1] - learned["models"][0]
            return expit((hidden * apart) @ learned["output"])
        chances = softmax(embeddings @ learned["weights"].T + learned["intercept"], axis=1)
        return chances @ learned["wins"]


def _factorised(embeddings: np.ndarray, preference: np.ndarray, rank: int) -> dict[str, np.ndarray]:
    import torch

    generator = torch.Generator().manual_seed(0)
    x, y = torch.tensor(embeddings, dtype=torch.float32), torch.tensor(preference, dtype=torch.float32)

    def start(*shape: int) -> torch.Tensor:
        return (torch.randn(shape, generator=generator) * shape[-1] ** -0.5).requires_grad_()

    weights = {"projection": start(rank, x.shape[1]), "models": start(2, rank), "output": start(rank)}
    weights["bias"] = torch.zeros(rank, requires_grad=True)
    optimiser = torch.optim.AdamW(weights.values(), lr=3e-3, weight_decay=0.1)
    for _ in range(150):
        hidden = x @ weights["projection"].T + weights["bias"]
        delta = (hidden * (weights["models"][1] - weights["models"][0])) @ weights["output"]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(delta, y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return {name: tensor.detach().numpy() for name, tensor in weights.items()}


def _classified(embeddings: np.ndarray, preference: np.ndarray) -> dict[str, np.ndarray]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    classes = np.rint(2 * preference).astype(int)
    folds = max(2, min(3, np.bincount(classes)[np.unique(classes)].min()))
    search = GridSearchCV(
        LogisticRegression(max_iter=200),
        {"C": [1e-4, 1e-3, 1e-2, 1e-1]},
        scoring="neg_log_loss",
        cv=StratifiedKFold(folds, shuffle=True, random_state=0),
    )
    best = search.fit(embeddings, classes).best_estimator_
    weights, intercept = best.coef_, best.intercept_
    if len(best.classes_) == 2:  # scikit-learn keeps one row for two classes
        weights, intercept = np.vstack([0 * weights, weights]), np.append(0, intercept)
    return {"weights": weights, "intercept": intercept, "wins": best.classes_ / 2}
