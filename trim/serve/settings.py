"""Settings of a server's operator."""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from trim.engine.budget import Account
from trim.errors import TrimError
from trim.experiment.strict_yaml import read_yaml
from trim.section import Cost, Name, Section, Share, explain

KEY = "TRIM_API_KEY"
_SHORTEST = 16  # characters of a key
_DEFAULT, _EVERYBODY = "default", "everybody"  # accounts of TRIM_API_KEY, and of all clients if no key is needed


@dataclass(frozen=True)
class Limits:
    """Limits of work and time, and the choices if a model cannot be reached.

    Attributes:
        running: maximum of answers in progress.
        waiting: maximum of waiting answers; more are refused.
        seconds: time limit of an answer.
        body: maximum of bytes of a request.
        upload: seconds for the arrival of a request's body.
        send: seconds for a client to accept data.
        without_prm: choice for a step that the reward model cannot score: the strong model writes it, the weak draft
            is accepted, or the request fails.
        without_strong: choice for a step that the strong model cannot write: the weak draft is accepted, or the request
            fails.
    """

    running: int = 64
    waiting: int = 256
    seconds: float = 120.0
    body: int = 1 << 18
    upload: float = 20.0
    send: float = 20.0
    without_prm: Literal["strong", "weak", "refuse"] = "refuse"
    without_strong: Literal["weak", "refuse"] = "refuse"


class Key(Section):
    """One client's key.

    Attributes:
        variable: name of the environment variable that holds the key.
        budget: share of always-strong's tokens that the client may spend on average.
        cap: maximum of money that the client may spend.
    """

    variable: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]
    budget: Share | None = None
    cap: Cost | None = None


class Keys:
    """The clients' keys and accounts.

    Args:
        accounts: the account of each key; empty if no key is needed.
        everybody: the account of clients without a key, if none is needed.
    """

    def __init__(self, accounts: Mapping[str, Account], everybody: Account) -> None:
        self._accounts, self._everybody = dict(accounts), everybody

    @property
    def accounts(self) -> list[Account]:
        """The accounts."""
        return [self._everybody, *self._accounts.values()]

    @property
    def needed(self) -> bool:
        """True if a request needs a key."""
        return bool(self._accounts)

    def account(self, header: str | None) -> Account | None:
        """The account of a request by its Authorization header, None if its key is wrong; in constant time."""
        if not self._accounts:
            return self._everybody
        scheme, _, key = (header or "").strip().partition(" ")
        given = (key if scheme.lower() == "bearer" else scheme).strip().encode()
        found = None
        for known, account in self._accounts.items():
            if hmac.compare_digest(known.encode(), given):
                found = account
        return found

    @classmethod
    def load(cls, path: Path | None, budget: float | None, environment: Mapping[str, str] | None = None) -> Keys:
        """Keys from the environment: that in TRIM_API_KEY, and those named in a file.

        Args:
            path: the file, with a section for each client; see `Key`.
            budget: the budget of clients whose section gives none.
            environment: by default the process's.

        Raises:
            TrimError: if the file is wrong, or a key is not set, too short, or not one line of plain characters.
        """
        known = os.environ if environment is None else environment
        sections = _read(path) if path else {}
        accounts: dict[str, Account] = {}
        if known.get(KEY):
            accounts[_key(KEY, known)] = Account(_DEFAULT, budget)
        for name, section in sections.items():
            if name in (_DEFAULT, _EVERYBODY):
                raise TrimError(f"{path}: {name}: an account of the server has this name; rename the client")
            key = _key(section.variable, known)
            if key in accounts:
                raise TrimError(f"{path}: {name}: its key is that of another client; give each its own")
            accounts[key] = Account(name, budget if section.budget is None else section.budget, section.cap)
        return cls(accounts, Account(_EVERYBODY, budget))


def _key(variable: str, environment: Mapping[str, str]) -> str:
    key = environment.get(variable, "")
    if not key:
        raise TrimError(f"the environment variable {variable} is not set; export the key in it")
    if len(key) < _SHORTEST or not (key.isascii() and key.isprintable()) or " " in key:
        raise TrimError(
            f"the environment variable {variable} holds no key: at least {_SHORTEST} letters, digits, signs"
        )
    return key


def _read(path: Path) -> dict[str, Key]:
    found: Any = read_yaml(path)
    if found == {}:
        raise TrimError(f"{path}: no client in it; name one with its variable, or leave out --keys")
    try:
        return TypeAdapter(dict[Name, Key]).validate_python(found)
    except (ValidationError, yaml.YAMLError) as error:
        reason = explain(error) if isinstance(error, ValidationError) else str(error)
        raise TrimError(f"{path}: {reason}") from error
