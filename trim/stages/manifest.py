"""The manifest of a run: the digest of every result, to detect changes."""

from __future__ import annotations

from pathlib import Path

from trim.errors import TrimError
from trim.stages.stage import DEFAULT_RESULTS, Results, Stage

MANIFEST = "manifest.json"
_PARAMS = "params.yaml"
_SERVING = "serving"  # the store of `trim serve`
_CHANGES_NOTHING = ("shards", "replay")  # sections that no result depends on


def make_manifest(results: Results = DEFAULT_RESULTS) -> str:
    """Write results/manifest.json, the digest of every result; with it `trim audit` detects changes.

    Raises:
        TrimError: if the results hold a pipe, a device or a link to nothing.
    """
    from trim.files import file_digest, write_sealed

    digests = {name: file_digest(path) for name, path in result_files(results).items()}
    write_sealed(results / MANIFEST, {"files": digests, "params": params_digest(results)})
    return f"{results / MANIFEST}: {len(digests)} files"


def result_files(results: Path) -> dict[str, Path]:
    """Files by their names below the results, without work in progress, the server's, the parameters and the manifest.

    Raises:
        TrimError: if one is neither a file nor a folder.
    """
    files = {}
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results)
        if any(part.startswith(".") for part in name.parts) or name.parts[0] == _SERVING or path.is_dir():
            continue
        if not path.is_file():
            raise TrimError(f"{path}: a pipe, a device or a link to nothing, not a result; remove it")
        if name.as_posix() not in (MANIFEST, _PARAMS):
            files[name.as_posix()] = path
    return files


def params_digest(results: Path) -> str | None:
    """A digest of the values in results/params.yaml, None where there is no such file.

    Raises:
        TrimError: if it is not YAML, or holds no parameters.
    """
    from trim.experiment.strict_yaml import read_yaml
    from trim.provenance import digest_of_values

    path = results / _PARAMS
    if not path.is_file():
        return None
    sections = read_yaml(path)
    if not isinstance(sections, dict):
        raise TrimError(f"{path}: holds no parameters; `snakemake --cores all` writes it again")
    return digest_of_values({name: sections[name] for name in sections.keys() - {*_CHANGES_NOTHING}})


STAGES = [Stage("manifest", make_manifest, order=16)]
