"""Settings: the names of a router's operating points, as values and as the texts of tables, files and commands."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from trim.errors import TrimError

BUDGET = "budget"  # the parameter of a setting whose policy was fitted to spend this share of always-strong's tokens
_TEXT = re.compile(r"(?:-|(?P<parameter>\w+)=(?P<value>\S+))(?: seed=(?P<seed>\d+))?")


@dataclass(frozen=True)
class Setting:
    """One operating point of a router, such as `tau=0.5` or `budget=0.2 seed=0`; `-` if the router has no parameter.

    Attributes:
        parameter: name of the parameter, a word; "" for none.
        value: its value, rounded to the six digits of the text; 0 for none.
        seed: seed of the policy's training, at least 0; None if it was not trained. The settings of one seed make a
            curve; measures are means over seeds.
    """

    parameter: str = ""
    value: float = 0.0
    seed: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", float(self._number) if self.parameter else 0.0)

    def __str__(self) -> str:
        """The text, which `parse` reads."""
        return self.brief("")

    @classmethod
    def parse(cls, text: str) -> Setting:
        """The setting of a text that `str` wrote.

        Raises:
            TrimError: if it is none.
        """
        setting = cls.read(text)
        if setting is None:
            raise TrimError(f"{text[:100]!r} is no setting, such as budget=0.2 or guarantee=0.95")
        return setting

    @classmethod
    def read(cls, text: str, parameter: str = "") -> Setting | None:
        """The setting of a client's text, None if it is none.

        Args:
            text: as `str` writes it, or `brief` for this parameter.
            parameter: see `brief`.
        """
        match = _TEXT.fullmatch(text) or _TEXT.fullmatch(f"{parameter}={text}")
        if not match:
            return None
        name, value, seed = match["parameter"] or "", match["value"] or "0", match["seed"]
        try:
            return cls(name, float(value), int(seed) if seed else None)
        except ValueError:
            return None

    def brief(self, parameter: str) -> str:
        """The text, without the name of this parameter."""
        point = f"{self.parameter}=" * (self.parameter != parameter) + self._number if self.parameter else "-"
        return point if self.seed is None else f"{point} seed={self.seed}"

    @property
    def unseeded(self) -> Setting:
        """The same point of any seed."""
        return replace(self, seed=None)

    @property
    def _number(self) -> str:
        return f"{self.value:g}"


def first_seed(settings: Iterable[Setting]) -> int | None:
    """The least seed of some settings, None if they were not trained."""
    return min((setting.seed for setting in settings if setting.seed is not None), default=None)
