"""Reading and writing tables: columnar, checksummed, atomic."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from trim.errors import TrimError, first_line

LARGEST = 1 << 30  # bytes of a text file
_SEAL = "checksum"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to; it replaces `path` only when complete."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise TrimError(f"{path}: cannot be written ({reason}); make room, or write where you may") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def read_text(path: Path, largest: int = LARGEST) -> str:
    """The text of a file, without a byte order mark.

    Args:
        path: the file.
        largest: maximum of bytes.

    Raises:
        TrimError: if it cannot be read, is not UTF-8, is too large, or is a pipe or a device.
    """
    return decode(path, read_bytes(path, largest))


def read_bytes(path: Path, largest: int = LARGEST) -> bytes:
    """The content of a file; see `read_text`."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise TrimError(f"{path}: a pipe or a device; write its content into a file and name that")
        if status.st_size > largest:
            raise TrimError(f"{path}: larger than {size(largest)}; is this the right file?")
        return path.read_bytes()
    except OSError as error:
        raise TrimError(f"{path}: {error.strerror}") from error


def size(count: int) -> str:
    """A number of bytes for a message, in MiB or GiB."""
    return f"{count >> 30} GiB" if count >> 30 else f"{count >> 20} MiB"


def decode(path: Path, content: bytes) -> str:
    """The bytes of a file as text; see `read_text`."""
    if b"\0" in content[:4096]:
        raise TrimError(f"{path}: not text in UTF-8 (UTF-16, or a binary file); save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TrimError(
            f"{path}:{line}: not UTF-8 ({content[error.start : error.start + 1]!r}); save it as UTF-8"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a whole text file or nothing."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        TrimError: if it cannot be read or parsed.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise _refused(path, error) from error


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object with its checksum, so that a changed digit is detected."""
    write_json(path, {**value, _SEAL: _checksum(value)})


def read_sealed(path: Path) -> dict[str, Any]:
    """Read a file written by `write_sealed`.

    Raises:
        TrimError: if it is missing, damaged, or was changed since.
    """
    value = read_json(path)
    if not isinstance(value, dict) or value.pop(_SEAL, None) != _checksum(value):
        raise _refused(path, ValueError("checksum mismatch"))
    return value


def _checksum(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any] | None = None) -> None:
    """Write named arrays as safetensors, with a checksum of the whole.

    Args:
        path: where to.
        arrays: the arrays by name.
        metadata: JSON values kept beside them.
    """
    whole = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    header = json.dumps(metadata or {}, sort_keys=True)
    with replacing(path) as partial:
        partial.write_bytes(save(whole, {"metadata": header, _SEAL: _digest(whole, header)}))


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and metadata of a file written by `write_arrays`.

    Raises:
        TrimError: if the file is missing, damaged, or was changed since.
    """
    try:
        with safe_open(path, "numpy") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if header.get(_SEAL) != _digest(arrays, header.get("metadata", "")):
            raise ValueError("its checksum is another")
        return arrays, json.loads(header["metadata"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise _refused(path, error) from error


def _digest(arrays: Mapping[str, np.ndarray], header: str) -> str:
    state = hashlib.sha256(header.encode())
    for name in sorted(arrays):
        state.update(f"{name} {arrays[name].dtype} {arrays[name].shape} ".encode() + arrays[name].tobytes())
    return state.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_table(path: Path, table: pa.Table, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a Parquet file with a checksum on every page, and one of all values.

    Args:
        path: where to.
        table: the rows.
        metadata: JSON values kept in the file's header.
    """
    header = {key: json.dumps(value) for key, value in (metadata or {}).items()}
    header[_SEAL] = json.dumps(_table_digest(table, header))
    with replacing(path) as partial:
        pq.write_table(table.replace_schema_metadata(header), partial, compression="zstd", write_page_checksum=True)


def read_table(path: Path, schema: pa.Schema) -> tuple[pa.Table, dict[str, Any]]:
    """The rows and metadata of a file written by `write_table`.

    Raises:
        TrimError: if the file is missing, damaged, or has other columns than `schema`.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            found = file.schema_arrow.remove_metadata()
            if not found.equals(schema):
                other = [*(set(found) - set(schema)), *(set(schema) - set(found))]
                names = ", ".join(sorted({field.name for field in other})) or "in another order"
                raise ValueError(f"columns of another version: {names}")
            table = file.read().combine_chunks()
            table.validate(full=True)
        texts = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items() if k != b"ARROW:schema"}
        # Checksums of pages do not cover the pages' headers.
        if json.loads(texts.pop(_SEAL, "0")) != _table_digest(table, texts):
            raise ValueError("its checksum is another")
        return table, {key: json.loads(text) for key, text in texts.items()}
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _refused(path, error) from error


def _table_digest(table: pa.Table, header: Mapping[str, str]) -> str:
    """A digest of all values and metadata, independent of their layout in memory."""
    state = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in table.column_names:
        state.update(f"{name} {len(table)} ".encode())
        _digest_values(state, table[name].combine_chunks())
    return state.hexdigest()


def _digest_values(state: Any, values: pa.Array) -> None:
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.chunks else pa.array([], values.type)
    state.update(np.packbits(values.is_valid().to_numpy(zero_copy_only=False)).tobytes())
    if pa.types.is_list(values.type):
        state.update(values.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).tobytes())
        _digest_values(state, values.flatten())
    elif pa.types.is_struct(values.type):
        for part in values.flatten():
            _digest_values(state, part)
    elif pa.types.is_string(values.type):
        filled = values.fill_null("").cast(pa.large_string())
        offsets = np.frombuffer(filled.buffers()[1], np.int64)[filled.offset : filled.offset + len(filled) + 1]
        state.update(np.diff(offsets).tobytes())
        if len(offsets) and filled.buffers()[2]:
            state.update(memoryview(filled.buffers()[2])[offsets[0] : offsets[-1]])
    elif pa.types.is_fixed_size_binary(values.type):
        width = values.type.byte_width
        state.update(memoryview(values.buffers()[1])[values.offset * width : (values.offset + len(values)) * width])
    else:
        values = values.cast(pa.uint8()) if pa.types.is_boolean(values.type) else values
        state.update(values.fill_null(0).to_numpy(zero_copy_only=False).tobytes())


def _refused(path: Path, error: Exception) -> TrimError:
    if isinstance(error, OSError) and error.errno == errno.ENOENT:
        return TrimError(f"{path}: No such file or directory; `snakemake --cores all` makes it")
    return TrimError(f"{path}: cannot be read ({first_line(error)}); restore it, or delete it and run Snakemake again")
