"""TRIM-Seq: TRIM-Agg with a policy that remembers the features of all steps so far (paper, TRIM-Seq)."""

from __future__ import annotations

from trim.routers.trim_agg import TrimAgg


class TrimSeq(TrimAgg):
    """A gated recurrent unit reads the steps; see `TrimAgg`."""

    name = "trim_seq"
    title = "TRIM-Seq"
    recurrent = True
