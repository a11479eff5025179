"""Results compared with the manifest of the finished run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trim.audit.check import Check
from trim.errors import TrimError
from trim.files import file_digest, read_sealed
from trim.stages.manifest import MANIFEST, params_digest, result_files

_ON_REQUEST = ("validation", "pretrain")  # folders made on request, perhaps after the manifest


def unchanged(results: Path) -> Iterator[Check]:
    """Check that every file is as the run left it, that none was added, and that the parameters are the run's.

    Raises:
        TrimError: if the results contain a pipe, a device or a dangling link; reading it might never end.
    """
    present = result_files(results)
    try:
        manifest = read_sealed(results / MANIFEST)
    except TrimError as error:
        yield Check("unchanged", MANIFEST, "fail", str(error))
        return
    listed = manifest.get("files")
    if not isinstance(listed, dict) or not listed:
        yield Check("unchanged", MANIFEST, "fail", "`files` is not a mapping of names to digests; run `trim manifest`")
        return
    # Only names seen in the folder are opened: another may be /dev/zero, or outside.
    both = listed.keys() & present.keys()
    changed = [name for name in both if file_digest(present[name]) != listed[name]]
    faults = dict.fromkeys(listed.keys() - both, "no file of the results")
    faults |= dict.fromkeys(present.keys() - both, "not in the manifest")
    faults |= dict.fromkeys(changed, "its content has changed since the run")
    for name in sorted(faults):
        later = name in present and name not in listed and name.split("/")[0] in _ON_REQUEST
        yield Check("unchanged", name, "not recorded" if later else "fail", faults[name])
    yield Check("unchanged", f"{len(both) - len(changed)} of {len(listed)} files", "pass")
    if manifest.get("params") is None:
        yield Check("unchanged", "params.yaml", "not recorded", "`trim manifest` records it")
    elif manifest["params"] != params_digest(results):
        yield Check("unchanged", "params.yaml", "fail", "its values have changed since the run")
    else:
        yield Check("unchanged", "params.yaml", "pass")
