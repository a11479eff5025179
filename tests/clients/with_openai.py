"""The official client with nothing but `base_url` changed. Arguments: URL, model; questions as JSON lines on stdin."""

import asyncio
import json
import sys

import openai

url, model = sys.argv[1:]
questions = [json.loads(line) for line in sys.stdin]
client = openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)
asynchronous = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="unused")


def turns(question: str) -> list:
    return [{"role": "user", "content": question}]


def whole(question: str) -> str:
    raw = client.chat.completions.with_raw_response.create(model=model, messages=turns(question))
    answer = raw.parse()
    assert raw.headers["x-trim-request-id"] == answer.id
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.model_extra["trim"]["steps"]
    return answer.choices[0].message.content


def streamed(question: str) -> str:
    options = {"include_usage": True}
    stream = client.chat.completions.create(model=model, messages=turns(question), stream=True, stream_options=options)
    chunks = list(stream)
    assert chunks[-1].usage.completion_tokens > 0
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def streamed_plainly(question: str) -> str:
    """Without a look at what a chunk holds."""
    stream = client.chat.completions.create(model=model, messages=turns(question), stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


def given_back(question: str) -> str:
    """The refusal of a conversation, which the embedded models do not hold: of the turns, not of their form."""
    messages = turns(question)
    messages.append(client.chat.completions.create(model=model, messages=messages).choices[0].message)
    try:
        client.chat.completions.create(model=model, messages=[*messages, *turns(question)])
    except openai.BadRequestError as error:
        return error.body["message"]


async def together() -> list[str]:
    made = (asynchronous.chat.completions.create(model=model, messages=turns(question)) for question in questions)
    return [answer.choices[0].message.content for answer in await asyncio.gather(*made)]


def refused(expected: type, **request) -> None:
    try:
        client.chat.completions.create(**{"model": model, "messages": turns(questions[0])} | request)
    except expected as error:
        assert error.body["message"]
    else:
        raise AssertionError(f"{request} was not refused")


refused(openai.NotFoundError, model="gpt-4")
refused(openai.BadRequestError, temperature=7)
refused(openai.BadRequestError, messages=turns("How much is 1 + 1?"))
refused(openai.BadRequestError, response_format={"type": "json_object"})
assert model in {found.id for found in client.models.list()}
assert client.models.retrieve("auto").id == "auto"
with client.chat.completions.stream(model=model, messages=turns(questions[0])) as events:
    helped = events.get_final_completion().choices[0].message.content
print(json.dumps({
    "whole": [whole(question) for question in questions[:4]],
    "streamed": [streamed(question) for question in questions[:4]],
    "plain": [streamed_plainly(question) for question in questions[:4]],
    "given_back": given_back(questions[0]),
    "together": asyncio.run(together()),
    "helped": helped,
}))  # fmt: skip
