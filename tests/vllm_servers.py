"""vLLM servers of the embedded models, as processes of their own. Needs `make vllm`."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from trim.models.files import resolve
from trim.models.prompt import read_tokenizer
from trim.steps import PRM_TAG

needs_vllm = pytest.mark.skipif(find_spec("vllm") is None, reason="needs `make vllm`")


@contextmanager
def vllm_server(role: str, folder: Path, *options: str) -> Iterator[str]:
    """A server of one embedded model; gives its address. The folder holds its tokenizer and its log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Beside config.json the tokenizer would be taken for one of Qwen2.
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(resolve(f"embedded/{role}") / name, folder)
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port"]
    command += [str(port), "--model", str(resolve(f"embedded/{role}")), "--served-model-name", role]
    command += ["--tokenizer", str(folder), "--dtype", "float32", "--max-model-len", "512", *options]
    if role == "prm":
        tag = read_tokenizer(resolve("embedded/prm")).convert_tokens_to_ids(PRM_TAG)
        command += ["--runner", "pooling", "--pooler-config", f'{{"step_tag_id": {tag}}}']
    else:
        command.append("--no-enable-chunked-prefill")
    environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        for _ in range(600):
            assert process.poll() is None, (folder / "log").read_text()[-3000:]
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except OSError:
                time.sleep(0.5)
        else:
            raise AssertionError("the server does not start")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(60)
