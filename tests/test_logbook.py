"""What one process writes of a run, and the thread that looks after it."""

import subprocess
import sys
import time

import pytest

from nbtools import logbook, sampling
from nbtools.journal import read
from nbtools.logbook import Logbook


@pytest.fixture
def book(tmp_path):
    book = Logbook(tmp_path, "e-r", guest=False, strict=False)
    yield book
    book.close()


def test_the_disk_has_everything_after_a_second(tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom nbtools.logbook import Logbook\n"
        "book = Logbook(Path(sys.argv[1]), 'e-r', False, False)\n"
        "begun = time.monotonic()\n"
        "for step in range(30):\n book.point({'x': 1.0}, step, 1.0)\n time.sleep(0.1)\n"
        "print(time.monotonic() - begun)\n"
    )
    command = ["strace", "-f", "-e", "trace=fdatasync,write", sys.executable, "-c", code]
    try:
        done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        synced = []  # without strace: the journal is asked instead
        book = Logbook(tmp_path, "e-r", guest=False, strict=False)
        book._journal.sync = lambda: synced.append(1)
        book.point({"x": 1.0}, 1, 1.0)
        deadline = time.monotonic() + 10
        while not synced and time.monotonic() < deadline:
            time.sleep(0.05)
        book.close()
        assert synced
        return
    # Once a second, however long it took, and perhaps once more at each end.
    assert 2 <= done.stderr.count("fdatasync(") <= float(done.stdout) / logbook.SECOND + 3


def test_the_machine_is_noted_under_its_own_names(book, monkeypatch):
    book.keep(time.monotonic() + logbook.SAMPLE)
    (entry,) = read(book.path, 0)[0]
    assert entry["step"] == 1
    assert set(entry["series"]) >= {"system/cpu_seconds", "system/memory_mb", "system/load"}
    assert entry["series"]["system/memory_mb"] > 1


def test_a_sample_is_made_of_numbers():
    assert all(isinstance(value, float) for value in sampling.sample().values())
    assert sampling.sample()["cpu_seconds"] > 0


def test_the_thread_is_gone_when_there_is_nothing_to_look_after(tmp_path, monkeypatch):
    keeper = logbook._Keeper()  # other tests may have left books to the one of this process
    monkeypatch.setattr(logbook, "_keeper", keeper)
    monkeypatch.setattr(logbook, "SECOND", 0.01)
    book = Logbook(tmp_path, "e-r", guest=False, strict=False)
    thread = keeper._thread
    assert thread.is_alive()
    book.close()
    thread.join(10)
    assert not thread.is_alive()
    assert keeper._thread is None


def test_values_are_those_of_the_call_though_they_are_held(tmp_path, book):
    book._journal.close()  # from now on nothing can be written
    values = {"x": 1.0}
    with pytest.warns(RuntimeWarning, match="cannot log to"):
        book.point(values, 1, 1.0)
    values["x"] = 2.0
    book.point(values, 2, 1.0)
    book._journal = type(book._journal)(tmp_path, "e-r")
    book.append({"_metrics": {"m": 1}})
    assert [e.get("series") for e in read(book.path, 0)[0]] == [{"x": 1.0}, {"x": 2.0}, None]


def test_what_is_lost_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(logbook, "HELD", 3)
    book = Logbook(tmp_path, "e-r", guest=False, strict=False)
    book._journal.close()
    with pytest.warns(RuntimeWarning) as told:
        for step in range(5):
            book.point({"x": 1.0}, step, 1.0)
        book.close()
    assert [str(warning.message)[:13] for warning in told] == ["cannot log to", "5 entries of "]
