"""Files from the Hugging Face hub at a pinned revision; downloaded once, and only on request.

The usual variables apply: HF_ENDPOINT (a mirror), HF_HOME (the cache), HF_TOKEN (gated data) and
HF_HUB_OFFLINE (cache only).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from trim.errors import TrimError, first_line

RepoType = Literal["model", "dataset"]
_ATTEMPTS = 5
TOKENIZER_FILES = ("config.json", "tokenizer*", "*.jinja")
_MODEL_FILES = ("*.json", "*.jinja", "*.safetensors", "*.txt")


def download(repo: str, revision: str, repo_type: RepoType, patterns: Sequence[str] = _MODEL_FILES) -> Path:
    """The folder of a repository's files; those that the cache lacks are downloaded.

    Args:
        repo: such as "Qwen/Qwen2.5-7B-Instruct".
        revision: a commit.
        repo_type: type of the repository.
        patterns: patterns of the files to download.

    Raises:
        TrimError: if they cannot be downloaded; the message gives a cure.
    """
    from huggingface_hub import snapshot_download
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

    # Connections drop in the middle of large files; downloaded parts are not fetched again.
    tries = Retrying(
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_exponential(multiplier=0.5, max=30),
        retry=retry_if_exception(_passing),
        reraise=True,
    )
    try:
        return Path(
            tries(snapshot_download, repo, revision=revision, repo_type=repo_type, allow_patterns=list(patterns))
        )
    except Exception as error:
        raise TrimError(f"{repo}@{revision[:12]}: {_reason(error)}") from error


def cached(repo: str, revision: str) -> Path:
    """The folder of a downloaded model; no network is used.

    Raises:
        TrimError: if it is not in the cache.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo, revision=revision, local_files_only=True, allow_patterns=[*_MODEL_FILES]))
    except Exception as error:
        raise TrimError(
            f"{repo}@{revision[:12]}: not in the cache; run `trim download` where there is a network"
        ) from error


def verify(path: Path, sha256: str) -> None:
    """Check a file's content.

    Raises:
        TrimError: if its digest is different.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        raise TrimError(f"{path}: its SHA-256 is {digest}, not {sha256}; delete it and download it again")


def _passing(error: BaseException) -> bool:
    """True if another attempt may help: a broken connection, or a server that is busy or broken."""
    from huggingface_hub.constants import is_offline_mode
    from huggingface_hub.errors import HfHubHTTPError

    if is_offline_mode():
        return False
    if isinstance(error, HfHubHTTPError):
        status = getattr(error.response, "status_code", 0)
        return status == 429 or status >= 500
    return isinstance(error, OSError) or type(error).__module__.startswith("httpx")


def _reason(error: Exception) -> str:
    from huggingface_hub import errors
    from huggingface_hub.constants import is_offline_mode

    hints = {
        errors.GatedRepoError: "gated; accept its terms on the hub and set HF_TOKEN",
        errors.RevisionNotFoundError: "the hub has no such revision",
        errors.RepositoryNotFoundError: "the hub has no such repository, or it is private; set HF_TOKEN",
    }
    for kind, hint in hints.items():
        if isinstance(error, kind):
            return hint
    if is_offline_mode():
        return "HF_HUB_OFFLINE is set and the cache lacks it; unset it, or fill HF_HOME elsewhere"
    if isinstance(error, errors.LocalEntryNotFoundError) or _passing(error):
        return (
            "the hub cannot be reached; check the network, set HF_ENDPOINT to a mirror, "
            "or copy the cache (HF_HOME) from a machine that has it"
        )
    return first_line(error)
