"""The manifest of a run: the digest of every result, so that a changed one is named."""

from __future__ import annotations

from pathlib import Path

from trim.files import file_digest, write_sealed

MANIFEST = "manifest.json"


def make_manifest(results: Path) -> int:
    """Write results/manifest.json; returns the number of files in it.

    Left out are work in progress, the copy of the parameters, and the manifest itself.
    """
    found = {}
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results)
        hidden = any(part.startswith(".") for part in name.parts)
        if path.is_file() and not hidden and name.as_posix() not in (MANIFEST, "params.yaml"):
            found[name.as_posix()] = file_digest(path)
    write_sealed(results / MANIFEST, {"files": found})
    return len(found)
