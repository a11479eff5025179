"""A DVC experiment in its own folder: Snakemake's records of the workspace are copied there, file by file."""

from __future__ import annotations

import filecmp
import os
import shutil
from base64 import urlsafe_b64decode
from pathlib import Path

from trim.errors import TrimError

_RECORDS, _INCOMPLETE = Path(".snakemake/metadata"), Path(".snakemake/incomplete")
_RESULTS = Path("results")
_STAGE, _WORKSPACE = "DVC_STAGE", "DVC_ROOT"  # DVC's variables


def take_over(root: Path) -> None:
    """Copy the records and times of the workspace's results to the same files in an experiment's checkout.

    `dvc exp run --queue` and `--temp` check results out into a new folder, where Snakemake has no records, and times
    mean nothing. A result that differs from the workspace's is removed, so that it is made again if needed. The
    function does nothing elsewhere, or a second time.

    Raises:
        TrimError: if there are results, and the workspace has no records.
    """
    workspace = Path(os.environ.get(_WORKSPACE, root)).resolve()
    if _STAGE not in os.environ or workspace == root.resolve() or _records(root):
        return
    strange = {path for path in _files(root / _RESULTS).values() if path.name != ".gitignore"}
    records = _records(workspace)
    if strange and not records:
        raise TrimError(
            f"{workspace / _RECORDS}: empty, so that an experiment in a folder of its own would make everything again; "
            "run `snakemake --touch --cores all` in the workspace, or `dvc exp run` without --queue and --temp"
        )
    (root / _INCOMPLETE).mkdir(
        parents=True, exist_ok=True
    )  # otherwise Snakemake takes the records for an old version's
    for name, record in records.items():
        files, originals = _files(root / name), _files(workspace / name)
        if files and _same(files, originals):
            (root / _RECORDS / record).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(workspace / _RECORDS / record, root / _RECORDS / record)
            for place, path in files.items():
                os.utime(path, ns=(originals[place].stat().st_atime_ns, originals[place].stat().st_mtime_ns))
            strange -= set(files.values())
    for path in strange:
        path.unlink()


def _records(root: Path) -> dict[str, Path]:
    """Snakemake's record files, by result."""
    files = [path.relative_to(root / _RECORDS) for path in (root / _RECORDS).rglob("*") if path.is_file()]
    # A long name is split over folders whose names begin with @.
    names = [urlsafe_b64decode("".join(part.removeprefix("@") for part in file.parts)).decode() for file in files]
    return dict(zip(names, files, strict=True))


def _files(path: Path) -> dict[Path, Path]:
    """A file, or the files below a folder, by relative path."""
    paths = path.rglob("*") if path.is_dir() else [path]
    return {file.relative_to(path): file for file in paths if file.is_file()}


def _same(one: dict[Path, Path], other: dict[Path, Path]) -> bool:
    return one.keys() == other.keys() and all(filecmp.cmp(one[place], other[place], shallow=False) for place in one)
