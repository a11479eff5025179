"""What a server keeps."""

import sqlite3

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


def test_a_changed_draw_and_a_foreign_file_are_named(tmp_path):
    path = tmp_path / "store.sqlite"
    store = ServerStore(path, 1000)
    store.put([(digest(b"x"), Draw(3, "text", "end"))])
    store.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE draws SET text = 'other'")
    with pytest.raises(TrimError, match="checksum"):
        ServerStore(path, 1000).get([digest(b"x")])
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(TrimError, match="cannot be used"):
        ServerStore(path, 1000)
