"""What a server keeps."""

import sqlite3
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trim.engine.store import Draw
from trim.errors import TrimError
from trim.rng import digest
from trim.serve.store import ServerStore

DRAWS = st.dictionaries(
    st.binary(min_size=16, max_size=16),
    st.builds(
        Draw,
        st.integers(0, 100),
        st.none() | st.text(),
        st.none(),
        st.none() | st.floats(0, 1),
        st.none(),
        st.none(),
        st.none(),
    ),
    max_size=20,
)


@given(DRAWS, DRAWS)
def test_what_was_kept_first_is_what_is_found(first, second):
    store = ServerStore(None, 1000)
    store.put(list(first.items()))
    store.put(list(second.items()))
    keys = [*first, *second, b"0" * 16]
    known = {**second, **first}
    assert store.get(keys) == [known.get(key) for key in keys]


def test_it_outlives_the_process_and_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "new" / "store.sqlite"
    store = ServerStore(path, 1000)
    store.put([(digest(b"x"), Draw(3, "text", "end"))])
    store.keep_answer("a", "alice", {"answer": 7})
    store.spend("alice", 5, 20, 0.25, 1)
    store.spend("alice", 5, 20, 0.25, 1)
    store.close()
    again = ServerStore(path, 1000)
    assert again.get([digest(b"x")]) == [Draw(3, "text", "end")]
    assert again.answer("a", "alice") == {"answer": 7}
    assert again.answer("a", "bob") is None
    assert again.spent("alice") == (10, 40, 0.5, 2)
    assert again.spent("bob") == (0, 0, 0, 0)
    assert path.stat().st_mode & 0o077 == 0


def test_the_oldest_are_dropped():
    store = ServerStore(None, 1000)
    for number in range(3000):
        store.put([(digest(str(number).encode()), Draw(number))])
        store.keep_answer(str(number), "", {})
    kept = store.get([digest(str(number).encode()) for number in range(3000)])
    assert [draw is not None for draw in kept] == [False] * 2000 + [True] * 1000
    assert store.answer("0", "") is None
    assert store.answer("2999", "") == {}


@pytest.mark.parametrize("value", ["'other'", "CAST(x'ff' AS TEXT)", "NULL", "7"])
@pytest.mark.parametrize("column", ["text", "tokens", "stop", "crc"])
def test_a_damaged_draw_is_made_again(tmp_path, column, value):
    path = tmp_path / "store.sqlite"
    store = ServerStore(path, 1000)
    keys = [digest(b"x"), digest(b"y")]
    store.put([(key, Draw(3, "text", "end")) for key in keys])
    store.close()
    with sqlite3.connect(path) as database:
        database.execute(f"UPDATE draws SET {column} = {value} WHERE number = 1")
    database.close()
    store = ServerStore(path, 1000)
    assert store.get(keys) == [None, Draw(3, "text", "end")]
    store.put([(keys[0], Draw(4, "again", "end"))])
    assert store.get(keys) == [Draw(4, "again", "end"), Draw(3, "text", "end")]
    assert store.works()


def test_a_damaged_answer_is_none(tmp_path):
    store = ServerStore(None, 1000)
    store.keep_answer("a", "alice", {"answer": 7})
    store._connection.execute("UPDATE answers SET content = '{'")
    assert store.answer("a", "alice") is None


@pytest.mark.parametrize("value", ["'much'", "NULL", "-1.0", "9e999"])
def test_accounts_that_are_no_numbers_are_named_at_the_start(tmp_path, value):
    store = ServerStore(None, 1000)
    store.spend("alice", 1, 2, 0.5, 1)
    store._connection.execute(f"UPDATE accounts SET money = {value}")
    assert not store.spend("alice", 1, 2, 0.5, 1)  # it would count from 0
    with pytest.raises(TrimError, match="the account alice"):
        store.spent("alice")


def test_a_full_disk_loses_no_answer_and_no_money(caplog):
    store = ServerStore(None, 1000)
    store.put([(digest(b"x"), Draw(3))])
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    large = [(digest(bytes([i])), Draw(3, "text" * 1000)) for i in range(9)]
    store.put(large)
    store.put(large)
    assert store.get([large[0][0], digest(b"x")]) == [None, Draw(3)]
    assert len(caplog.records) == 1
    store._connection.execute(f"PRAGMA max_page_count = {10 * pages}")
    assert store.works()
    store.put(large)
    assert store.get([large[0][0]]) == [large[0][1]]


def test_a_file_that_another_process_holds_is_waited_for_once(tmp_path):
    store, other = ServerStore(tmp_path / "store.sqlite", 1000), sqlite3.connect(tmp_path / "store.sqlite")
    other.execute("BEGIN IMMEDIATE")
    assert not store.spend("alice", 1, 1, 0.1, 1)
    begun = time.monotonic()
    assert not any(store.spend("alice", 1, 1, 0.1, 1) for _ in range(100)) and not store.works()
    assert time.monotonic() - begun < 1
    other.rollback()
    assert store.works() and store.spend("alice", 1, 1, 0.1, 1)
    assert store.spent("alice") == (1, 1, 0.1, 1)


def test_a_file_that_others_may_read_becomes_private(tmp_path):
    path = tmp_path / "store.sqlite"
    for name in (path, path.with_name("store.sqlite-wal")):
        name.touch(0o644)
        name.chmod(0o644)
    ServerStore(path, 1000).put([(digest(b"x"), Draw(3))])
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_a_foreign_file_is_named(tmp_path):
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(TrimError, match="cannot be used"):
        ServerStore(path, 1000)
