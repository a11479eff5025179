"""Smoothie (Guha et al., 2024): quality of the models without labels, from the similarity of their solutions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import Field

from trim.models.embeddings import embedder
from trim.routers.always import STRONG, WEAK
from trim.routers.query import Labels, QueryRouter, deviation, unit


class Smoothie(QueryRouter):
    """Smoothie-Local with solutions of train problems, so that only one model solves a test problem.

    Each model's solutions scatter around the truth with a variance of its own. Three of them,
    two by the weak model and one by the strong, identify both variances: with mean squared
    distances d over a neighbourhood of the question, the weak model's is d(weak, weak) / 2 and
    the strong model's d(weak, strong) - d(weak, weak) / 2.
    """

    name = "smoothie"
    title = "Smoothie"

    class Params(QueryRouter.Params):
        """Neighbours of a question."""

        neighbours: int = Field(50, ge=1)

    def learn(self, labels: Labels) -> dict[str, np.ndarray]:
        """See `QueryRouter.learn`; correctness of answers is not used."""
        embed, vectors = embedder(self.params.embedding), []
        for policy, sample in ((WEAK, 0), (WEAK, 1), (STRONG, 0)):
            solved = labels.trial.episodes(policy, "train", sample)
            vectors.append(embed([" ".join(step.text for step in episode.steps) for episode in solved]))
        scale = deviation(vectors[0])
        first, second, other = (vector / scale for vector in vectors)
        gained = ((first - second) ** 2).mean(axis=1) - ((first - other) ** 2).mean(axis=1)
        return {"known": unit(labels.embeddings), "gained": gained}

    def score(self, embeddings: np.ndarray, learned: Mapping[str, np.ndarray]) -> np.ndarray:
        """See `QueryRouter.score`."""
        alike = unit(embeddings) @ learned["known"].T
        count = min(self.params.neighbours, alike.shape[1])
        nearest = np.argpartition(-alike, count - 1, axis=1)[:, :count]
        return learned["gained"][nearest].mean(axis=1)
