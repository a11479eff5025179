"""The server: hybrid inference behind the API that OpenAI's clients speak.

Requests become episodes that join the engine's rounds; see `trim.serve.scheduler`.
"""
