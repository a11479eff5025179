"""LiteLLM in front of the server. Arguments: URL, model; questions as JSON lines on stdin."""

import json
import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # its prices come with it, and are not fetched
import litellm

url, model = sys.argv[1:]
questions = [json.loads(line) for line in sys.stdin]


def ask(question: str, **more):
    turns = [{"role": "user", "content": question}]
    return litellm.completion(f"openai/{model}", turns, api_base=f"{url}/v1", api_key="unused", **more)


whole = [ask(question).choices[0].message.content for question in questions[:4]]
streamed = ["".join(c.choices[0].delta.content or "" for c in ask(q, stream=True)) for q in questions[:4]]
try:
    ask("How much is 1 + 1?")
except litellm.BadRequestError:
    print(json.dumps({"whole": whole, "streamed": streamed}))
