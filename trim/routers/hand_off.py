"""One hand-off: from some step on the strong model writes (PyroDash's action)."""

from __future__ import annotations

from trim.rl.settings import Action
from trim.routers.trim_verify import TrimVerify


class HandOff(TrimVerify):
    """Learned as TRIM-Verify is; it has PyroDash's action, but not its training."""

    name = "hand_off"
    title = "One hand-off"
    group = "step"

    class Params(TrimVerify.Params):
        """See `TrimVerify.Params`."""

        actions: tuple[Action, ...] = ("accept", "rewrite", "hand_off")
