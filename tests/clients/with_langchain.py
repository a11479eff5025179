"""LangChain on the server. Arguments: URL, model; questions as JSON lines on stdin."""

import json
import sys

from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI

url, model = sys.argv[1:]
questions = [json.loads(line) for line in sys.stdin]
chat = ChatOpenAI(model=model, base_url=f"{url}/v1", api_key="unused", max_retries=0)
answer = chat.invoke([HumanMessage(questions[0], name="user")])
assert answer.usage_metadata["output_tokens"] > 0
print(json.dumps({
    "whole": [chat.invoke(question).content for question in questions[:4]],
    "streamed": ["".join(chunk.content for chunk in chat.stream(question)) for question in questions[:4]],
    "together": [answer.content for answer in chat.batch(questions)],
}))  # fmt: skip
