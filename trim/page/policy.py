"""Content security policies: a browser runs the scripts that a page was written with, and no others."""

from __future__ import annotations

import base64
import hashlib


def hashed(text: str) -> str:
    """A script or style within a page, as a policy names it.

    Args:
        text: all that is between its tags.
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
