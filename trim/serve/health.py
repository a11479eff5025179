"""Models that cannot be reached are not called for a while."""

from __future__ import annotations

import time
from dataclasses import dataclass

_FAILURES = 3  # in a row, after which a model is not called for a while
PAUSE = 5.0  # seconds


@dataclass
class Health:
    """Failures of a model behind a server."""

    failures: int = 0
    until: float = 0.0

    @property
    def failing(self) -> bool:
        """True if it has failed too often in a row."""
        return self.failures >= _FAILURES

    def down(self) -> bool:
        """True during a pause; after the pause one try is made."""
        if not self.failing:
            return False
        if time.monotonic() < self.until:
            return True
        self.until = time.monotonic() + PAUSE
        return False

    def note(self, failed: bool) -> None:
        """Record the outcome of a call."""
        self.failures = self.failures + 1 if failed else 0
        if self.failing:
            self.until = time.monotonic() + PAUSE
