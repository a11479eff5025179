"""The ledger of spending over processes, crashes and clocks."""

import os
import socket
import sqlite3
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trim.errors import TrimError
from trim.models import spending
from trim.models.spending import FILE, Ledger

RESERVE = "import sys, pathlib, trim.models.spending as l; l.Ledger(pathlib.Path(sys.argv[1]), 'm', 9.0).reserve(5.0)"


def earlier(folder, process, host=None, since=None, amount=0.6):
    """A reservation by an earlier version, which did not write down when its process was started."""
    connection = sqlite3.connect(folder / FILE)
    columns = "id INTEGER PRIMARY KEY, model TEXT, amount REAL, host TEXT, process INTEGER, since REAL"
    connection.execute(f"CREATE TABLE reserved ({columns})")
    row = ("m", amount, host or socket.gethostname(), process, time.time() if since is None else since)
    connection.execute("INSERT INTO reserved (model, amount, host, process, since) VALUES (?, ?, ?, ?, ?)", row)
    connection.commit()
    connection.close()


def test_a_dead_process_with_the_number_of_this_one_is_known(tmp_path):
    """As in a container that was started again."""
    earlier(tmp_path, os.getpid())
    ledger = Ledger(tmp_path, "m", 1.0)
    with pytest.raises(TrimError, match=r"0\.6000 spent"):
        ledger.reserve(0.5)
    assert ledger.spent == 0.6
    assert ledger.reserve(0.4)


def test_a_number_that_another_process_has_now_is_known(tmp_path):
    ledger = Ledger(tmp_path, "m", 1.0)
    number = ledger.reserve(0.6)
    ledger._connection.execute("UPDATE reserved SET process = ?, started = 1", (os.getppid(),))
    with pytest.raises(TrimError, match=r"0\.6000 spent"):
        ledger.reserve(0.5)
    ledger.settle(number, 0.1)
    assert ledger.spent == 0.1


def test_what_runs_is_waited_for(tmp_path):
    code = f"{RESERVE}; print('reserved', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        ledger = Ledger(tmp_path, "m", 9.0)
        assert ledger.reserve(6.0) is None
        assert ledger.spent == 0
        other.kill()
        other.wait()
        with pytest.raises(TrimError, match=r"5\.0000 spent"):
            ledger.reserve(6.0)


def test_what_runs_elsewhere_is_waited_for_as_long_as_a_request_can_take(tmp_path, monkeypatch):
    earlier(tmp_path, 7, host="old-pod")
    ledger = Ledger(tmp_path, "m", 1.0, longest=100)
    assert ledger.reserve(0.5) is None
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 101)
    with pytest.raises(TrimError, match=r"0\.6000 spent"):
        ledger.reserve(0.5)


@pytest.mark.parametrize("hours", [-25, 25])
def test_a_clock_that_jumps_costs_nothing(tmp_path, monkeypatch, hours):
    ledger = Ledger(tmp_path, "m", 1.0)
    number = ledger.reserve(0.4)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600 * hours)
    with pytest.raises(TrimError, match=r"0\.4000 spent"):
        Ledger(tmp_path, "m", 1.0).reserve(0.7)
    ledger.settle(number, 0.3)
    assert ledger.spent == pytest.approx(0.3)


def test_where_the_system_lists_no_processes_age_decides(tmp_path, monkeypatch):
    monkeypatch.setattr(spending, "_PROCESSES", tmp_path / "none")
    ledger = Ledger(tmp_path, "m", 1.0, longest=100)
    assert ledger.reserve(0.6)
    ledger._connection.execute("UPDATE reserved SET process = 7")
    assert ledger.reserve(0.5) is None
    ledger._connection.execute("UPDATE reserved SET since = since - 101")
    with pytest.raises(TrimError, match=r"0\.6000 spent"):
        ledger.reserve(0.5)


def test_a_ledger_that_cannot_be_written_says_so(tmp_path):
    ledger = Ledger(tmp_path, "m", 1.0)
    ledger._connection.execute("DROP TABLE reserved")
    with pytest.raises(TrimError, match=rf"{FILE}: cannot be used"):
        ledger.reserve(0.5)


events = st.tuples(st.sampled_from(["reserve", "reserve", "settle", "die"]), st.integers(0, 3), st.floats(0, 1))


@settings(deadline=None)
@given(st.lists(events, max_size=40))
def test_no_order_of_deaths_passes_the_cap_or_forgets_what_may_be_billed(events):
    """Four processes; a dead one is followed by another of its number."""
    ledger, births, open_, billed = Ledger(None, "m", 5.0), dict.fromkeys(range(4), 1), [], 0.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spending, "_started", births.get)
        for what, process, share in events:
            patch.setattr(os, "getpid", lambda process=process: process)
            mine = [one for one in open_ if one[:2] == (process, births[process])]
            if what == "reserve":
                most = 2 * share
                try:
                    number = ledger.reserve(most)
                except TrimError:
                    assert ledger.spent + most > 5
                else:
                    if number:
                        open_.append((process, births[process], number, most))
            elif what == "die":
                births[process] += 1
            elif mine:
                *_, number, most = mine[0]
                ledger.settle(number, most * share)
                billed += most * share
                open_.remove(mine[0])
            dead = [one for one in open_ if one[1] < births[one[0]]]
            assert billed - 1e-9 <= ledger.spent <= billed + sum(most for *_, most in dead) + 1e-9
            assert billed + sum(most for *_, most in open_) <= 5 + 1e-9
