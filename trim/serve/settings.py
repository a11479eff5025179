"""What the operator of a server chose."""

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
_DEFAULT, _EVERYBODY = "default", "everybody"  # accounts of TRIM_API_KEY, and of all where no key is needed


@dataclass(frozen=True)
class Limits:
    """How much is done, for how long, and what happens where a model cannot be reached.

    Attributes:
        running: most answers that are made at once.
        waiting: most answers that wait for one of these; more are turned away.
        seconds: time after which an answer is given up.
        body: bytes of a request.
        upload: seconds that a request's body may take to come.
        send: seconds that a client may take to accept what it is sent.
        without_prm: what becomes of a step that the reward model cannot score: the strong model writes it, the weak
            draft stands, or the request fails.
        without_strong: what becomes of a step that the strong model is to write and cannot: the weak draft stands, or
            the request fails.
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
        cap: most money that the client may spend.
    """

    variable: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]
    budget: Share | None = None
    cap: Cost | None = None


class Keys:
    """Who may ask, and on whose account.

    Args:
        accounts: the account of each key; empty if everybody may ask.
        everybody: the account of all that ask without a key, where none is needed.
    """

    def __init__(self, accounts: Mapping[str, Account], everybody: Account) -> None:
        self._accounts, self._everybody = dict(accounts), everybody

    @property
    def accounts(self) -> list[Account]:
        """All accounts."""
        return [self._everybody, *self._accounts.values()]

    @property
    def needed(self) -> bool:
        """Whether a request needs a key."""
        return bool(self._accounts)

    def account(self, header: str | None) -> Account | None:
        """The account of a request by its Authorization header, None if its key is none; in constant time."""
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
        """Keys from the environment: that in TRIM_API_KEY, and those that a file names.

        Args:
            path: the file, which has a section for each client; see `Key`.
            budget: the budget of those whose section names none.
            environment: by default the process's.

        Raises:
            TrimError: if the file is wrong, or a key is not set, too short, or not one line of plain signs.
        """
        known = os.environ if environment is None else environment
        sections = _read(path) if path else {}
        accounts: dict[str, Account] = {}
        if known.get(KEY):
            accounts[_key(KEY, known)] = Account(_DEFAULT, budget)
        for name, section in sections.items():
            if name in (_DEFAULT, _EVERYBODY):
                raise TrimError(f"{path}: {name}: an account of the server has this name; name the client otherwise")
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
