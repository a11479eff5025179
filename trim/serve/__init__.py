"""The server: hybrid inference behind OpenAI's API.

Requests become episodes that join the engine's rounds; see `trim.serve.scheduler`.
"""
