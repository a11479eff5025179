"""Content security policies: a browser runs only a page's own scripts."""

from __future__ import annotations

import base64
import hashlib


def hashed(text: str) -> str:
    """The hash of a script or style within a page, for a policy.

    Args:
        text: the text between its tags.
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
