"""One hand-off: the weak model begins, and from some step on the strong one writes (PyroDash's action)."""

from __future__ import annotations

from trim.rl.settings import Action
from trim.routers.trim_verify import TrimVerify


class HandOff(TrimVerify):
    """Where to hand over is learned as TRIM-Verify is; of PyroDash it has the action, and none of its training."""

    name = "hand_off"
    title = "One hand-off"
    group = "step"

    class Params(TrimVerify.Params):
        """See `TrimVerify.Params`."""

        actions: tuple[Action, ...] = ("accept", "rewrite", "hand_off")
