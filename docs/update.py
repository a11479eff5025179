"""Copy the figures of the last run into README.md: the curves, and the main table between its markers."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results/tables/main.md -->", "<!-- end -->"


def main() -> None:
    """Update README.md and docs/curves.png from results/."""
    shutil.copy(ROOT / "results/figures/curves.png", ROOT / "docs/curves.png")
    table = (ROOT / "results/tables/main.md").read_text(encoding="utf-8")
    readme = ROOT / "README.md"
    text = re.sub(
        f"{re.escape(BEGIN)}.*{re.escape(END)}",
        lambda _: f"{BEGIN}\n{table}{END}",
        readme.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
