"""A DVC experiment in a folder of its own: what Snakemake recorded in the workspace holds there too, file by file."""

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
    """Give results in the checkout of an experiment the records and times that the same files have in the workspace.

    `dvc exp run --queue` and `--temp` check results out into a new folder, where Snakemake has no records, and times
    say nothing. A result that is not the same in the workspace is removed, so that it is made again if it is needed.
    Nothing is done elsewhere, or a second time.

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
    )  # or Snakemake takes the records for those of an old version
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
    """The files that Snakemake keeps its records in, by the result that each is of."""
    files = [path.relative_to(root / _RECORDS) for path in (root / _RECORDS).rglob("*") if path.is_file()]
    # A long name is spread over folders, whose names begin with @.
    names = [urlsafe_b64decode("".join(part.removeprefix("@") for part in file.parts)).decode() for file in files]
    return dict(zip(names, files, strict=True))


def _files(path: Path) -> dict[Path, Path]:
    """A file, or those below a folder, by their place in it."""
    paths = path.rglob("*") if path.is_dir() else [path]
    return {file.relative_to(path): file for file in paths if file.is_file()}


def _same(one: dict[Path, Path], other: dict[Path, Path]) -> bool:
    return one.keys() == other.keys() and all(filecmp.cmp(one[place], other[place], shallow=False) for place in one)
