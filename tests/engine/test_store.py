"""The store: laws, damage, interruption, sharing."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import pytest
from conftest import ROOT
from fakes.scripted import Scripted
from hypothesis import given, settings
from hypothesis import strategies as st

from trim.engine.cached import CachedLM, CachedPRM
from trim.engine.store import Draw, Draws, Node
from trim.errors import TrimError
from trim.models.base import Prefix
from trim.rng import digest

draw = st.builds(
    Draw,
    st.integers(0, 2048),
    st.none() | st.text(max_size=20),
    st.none() | st.sampled_from(["separator", "end", "length"]),
    st.none() | st.floats(0, 1),
    st.none() | st.integers(0, 10**6),
    st.none() | st.integers(0, 10**6),
    st.none() | st.integers(0, 10**6),
)
some_draws = st.dictionaries(st.binary(min_size=16, max_size=16), draw, max_size=30)


@settings(max_examples=40, deadline=None)
@given(some_draws)
def test_what_is_put_is_found_in_memory_journal_and_layer(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("draws")
    first = Draws((), folder / "j.sqlite")
    first.put(list(content.items()))
    keys = list(content)
    assert first.get(keys) == list(content.values())
    resumed = Draws((), folder / "j.sqlite")
    assert resumed.get(keys) == list(content.values())
    assert resumed.export(folder / "a.parquet") == len(content)
    layered = Draws([folder / "a.parquet"])
    assert layered.get(keys) == list(content.values())
    assert layered.get([b"\xff" * 15 + b"\x01"]) == [content.get(b"\xff" * 15 + b"\x01")]
    assert layered.export(folder / "b.parquet") == 0


def test_a_layer_holds_only_what_was_used_and_is_new(tmp_path):
    keys = [digest(bytes([i])) for i in range(6)]
    below = Draws()
    below.put([(k, Draw(1, "x", "end", None)) for k in keys[:2]])
    below.export(tmp_path / "below.parquet")
    journal = Draws((), tmp_path / "j.sqlite")
    journal.put([(k, Draw(1, "x", "end", None)) for k in keys])
    later = Draws([tmp_path / "below.parquet"], tmp_path / "j.sqlite")
    later.get(keys[:4])
    assert later.export(tmp_path / "new.parquet") == 2
    found = Draws([tmp_path / "new.parquet"]).get(keys)
    assert [d is not None for d in found] == [False, False, True, True, False, False]


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_different_solutions_have_different_nodes(one, other):
    def node(steps):
        found = Node.root("q")
        for step in steps:
            found = found.child(step)
        return found.path[-1]

    assert (node(one) == node(other)) == (one == other)


@given(
    *[
        st.tuples(
            st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text(max_size=3)), max_size=2),
            st.none() | st.sampled_from([0.0, 0.5]),
            st.none() | st.sampled_from([0.5, 1.0]),
            st.sampled_from(["", "1", "2"]),
        )
    ]
    * 2
)
def test_other_turns_sampling_and_samples_have_trees_of_their_own(one, other):
    def node(before, temperature, top_p, sample):
        return Node.of(Prefix("q", before=tuple(before), temperature=temperature, top_p=top_p), sample).path[-1]

    assert (node(*one) == node(*other)) == (one == other)
    assert node([], None, None, "") == Node.root("q").path[-1]


def test_equal_nodes_are_drawn_once():
    model = Scripted()
    writer = CachedLM("m", lambda: model, Draws(), 4)
    nodes = [Node.root("a"), Node.root("b"), Node.root("a")] * 5
    drafts = writer.next_steps(nodes)
    assert len(model.requests) == 2
    assert drafts[0] == drafts[2] != drafts[1]
    writer.next_steps(nodes)
    assert len(model.requests) == 2


def test_another_seed_or_model_is_another_draw():
    drafts = {CachedLM(name, Scripted, Draws(), 4).next_steps([Node.root("q")])[0].text for name in ("a", "b", "c")}
    assert len(drafts) == 3


def test_scores_come_in_order_and_once():
    model = Scripted()
    scorer = CachedPRM("m", lambda: model, Draws(), 4)
    node = Node.root("q").child("one").child("two").child("three")
    scores = scorer.score([node, node], [3, 1])
    assert [s.score for s in scores[0]] == [Scripted.value(t) for t in ("one", "two", "three")]
    assert scores[1] == scores[0][-1:]
    assert len(model.requests) == 1
    scorer.score([node], [2])
    assert len(model.requests) == 1


@pytest.fixture
def layer(tmp_path):
    draws = Draws()
    draws.put([(digest(bytes([i])), Draw(i, f"text {i}", "end", i / 100)) for i in range(100)])
    draws.export(tmp_path / "layer.parquet")
    return tmp_path / "layer.parquet"


def test_a_truncated_or_foreign_layer_is_named(layer):
    whole = layer.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not parquet", whole[4:]):
        layer.write_bytes(content)
        with pytest.raises(TrimError, match=r"layer\.parquet: .*delete it"):
            Draws([layer])


def test_a_flipped_bit_is_refused_or_harmless(layer):
    whole = layer.read_bytes()
    keys = [digest(bytes([i])) for i in range(100)]
    expected = Draws([layer]).get(keys)
    refused = 0
    for position in range(0, len(whole), 7):
        layer.write_bytes(whole[:position] + bytes([whole[position] ^ 1 << position % 8]) + whole[position + 1 :])
        try:
            assert Draws([layer]).get(keys) == expected
        except TrimError as error:
            assert "layer.parquet" in str(error)
            refused += 1
    assert refused > len(whole) / 7 / 2


def test_a_damaged_journal_is_named_and_repaired_by_deleting_it(tmp_path):
    path = tmp_path / "j.sqlite"
    content = [(digest(bytes([i])), Draw(i, "some words " * 9, "end", None)) for i in range(100)]
    Draws((), path).put(content)
    Draws((), path)._journal.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = path.read_bytes()
    at = whole.rindex(b"words")
    for damaged in (whole[:at] + b"sword" + whole[at + 5 :], whole[: len(whole) // 2], b"no database" * 100):
        path.write_bytes(damaged)
        for side in (tmp_path / "j.sqlite-wal", tmp_path / "j.sqlite-shm"):
            side.unlink(missing_ok=True)
        with pytest.raises(TrimError, match=r"j\.sqlite: damaged.*delete it"):
            Draws((), path)
    path.unlink()
    assert Draws((), path).get([content[0][0]]) == [None]


def _read(path: str) -> int:
    return sum(d is not None for d in Draws([Path(path)]).get([digest(bytes([i])) for i in range(100)]))


def test_two_processes_read_one_layer(layer):
    with get_context("spawn").Pool(2) as pool:
        assert pool.map(_read, [str(layer)] * 4) == [100] * 4


SLOW = """
import sys, time
sys.path[:0] = [{tests!r}, {root!r}]
from pathlib import Path
from fakes.scripted import Scripted
from trim.engine.cached import CachedLM
from trim.engine.store import Draws, Node
from trim.models.base import Prefix

class Slow(Scripted):
    def next_steps(self, prefixes, keys, keep=None):
        time.sleep(0.05)
        print(len(keys), flush=True)
        return super().next_steps(prefixes, keys)

draws = Draws((), Path({journal!r}))
writer = CachedLM("m", Slow, draws, 8)
writer.next_steps([Node.root(str(i)) for i in range(400)])
"""


def test_kill_loses_at_most_the_batch_in_flight(tmp_path):
    journal = tmp_path / "j.sqlite"
    script = SLOW.format(tests=str(ROOT / "tests"), root=str(ROOT), journal=str(journal))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    started = [process.stdout.readline() for _ in range(6)]
    time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    started += process.stdout.readlines()
    process.wait()
    kept = Draws((), journal)
    assert len(started) < 50, "killed before the end"
    assert len(kept._fresh) >= 8 * (len(started) - 1)
    model = Scripted()
    nodes = [Node.root(str(i)) for i in range(400)]
    resumed = CachedLM("m", lambda: model, kept, 8).next_steps(nodes)
    assert len(model.requests) <= 400 - 8 * (len(started) - 1)
    assert resumed == CachedLM("m", Scripted, Draws(), 8).next_steps(nodes)
