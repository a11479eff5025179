from __future__ import annotations

import pytest
from fakes.serving import serving


@pytest.fixture(scope="module")
def server():
    """A server of the embedded experiment."""
    with serving() as started:
        yield started
