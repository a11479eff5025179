"""Records of local files: JSON lines, JSON arrays, Parquet, CSV and TSV, packed by gzip or not."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from trim.errors import TrimError, first_line
from trim.files import LARGEST, decode, read_bytes, size
from trim.section import shown

_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_FORMS = (
    "a file holds one JSON object a line, one JSON array, or Parquet, or its name ends with .csv or .tsv; "
    "gzip of these is read too"
)


def records(path: Path) -> Iterator[tuple[int, Any]]:
    """Every record of a file, with its line, or with its number from 1 in an array or in Parquet.

    Raises:
        TrimError: with the file, and the line of the first record that cannot be read, has a key twice, or contains a
            NaN.
    """
    content, name = read_bytes(path), path.name.lower()
    if content.startswith(_GZIP):
        content, name = _unpacked(path, content), name.removesuffix(".gz")
    if content.startswith(_PARQUET):
        yield from enumerate(_of_parquet(path, content), 1)
        return
    text, suffix = decode(path, content), Path(name).suffix
    if suffix in _DELIMITERS:
        yield from _of_table(path, text, _DELIMITERS[suffix])
    elif text.lstrip().startswith("["):
        yield from enumerate(_json(text, path, 1), 1)
    else:
        yield from _of_lines(path, text)


def _unpacked(path: Path, content: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            unpacked = file.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise TrimError(f"{path}: damaged gzip ({first_line(error)}); download it again") from error
    if len(unpacked) > LARGEST:
        raise TrimError(f"{path}: larger than {size(LARGEST)} once it is unpacked; is this the right file?")
    return unpacked


def _of_parquet(path: Path, content: bytes) -> list[dict[str, Any]]:
    try:
        return pq.read_table(pa.BufferReader(content)).to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise TrimError(f"{path}: damaged Parquet ({first_line(error)}); download it again") from error


def _of_table(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
        if twice := [name for name in header if header.count(name) > 1]:
            raise TrimError(f"{path}:1: the column {shown(twice[0])} is there twice; rename one")
        for row in filter(None, reader):
            if len(row) != len(header):
                raise TrimError(
                    f"{path}:{reader.line_num}: {len(row)} fields, where line 1 names {len(header)}; "
                    "texts that hold the delimiter need quotes"
                )
            yield reader.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise TrimError(f"{path}:{reader.line_num}: not a table ({error}); {_FORMS}") from error


def _of_lines(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    """One record per line; lines end only at newlines."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, _json(line, path, number)


def _json(text: str, path: Path, line: int) -> Any:
    """The value of a text that begins at a line of a file."""
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise TrimError(f"{path}:{line + error.lineno - 1}: not JSON ({error.msg}); {_FORMS}") from error
    except RecursionError as error:
        raise TrimError(f"{path}:{line}: nested too deeply") from error
    except ValueError as error:
        raise TrimError(f"{path}:{line}: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        twice = next(key for index, (key, _) in enumerate(pairs) if key in dict(pairs[:index]))
        raise ValueError(f"the key {shown(twice)} is given twice")
    return record


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not a value of JSON")
