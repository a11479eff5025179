"""Inspect AI on the server. Arguments: URL, model; questions with their answers as JSON lines on stdin."""

import json
import os
import sys
import tempfile

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import get_model
from inspect_ai.scorer import pattern
from inspect_ai.solver import generate

url, model = sys.argv[1:]
os.environ["TRIM_API_KEY"], os.environ["TRIM_BASE_URL"] = "unused", f"{url}/v1"
samples = [Sample(input=asked["question"], target=asked["answer"]) for asked in map(json.loads, sys.stdin)]
task = Task(dataset=samples, solver=generate(), scorer=pattern(r"\\boxed\{(.*?)\}"))
with tempfile.TemporaryDirectory() as folder:
    (log,) = eval(task, model=get_model(f"openai-api/trim/{model}"), log_dir=folder, display="none")
    assert log.status == "success", log.error
    print(json.dumps({
        "accuracy": log.results.scores[0].metrics["accuracy"].value,
        "answers": [sample.output.completion for sample in log.samples],
    }))  # fmt: skip
