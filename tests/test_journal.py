import math
import signal
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtools.journal import Journal, abandoned, collect, context_of, read

WRITER = """
import sys
from pathlib import Path
from nbtools.journal import Journal
journal = Journal(Path(sys.argv[1]), "mnist-r")
journal.append({"n": 1})
print(journal.path, flush=True)
sys.stdin.read()
"""


#: writes entries up to a limit to the file's size, then, with room again, one more.
FULL = """
import json, resource, sys
from pathlib import Path
from nbtools.journal import Journal
journal = Journal(Path(sys.argv[1]), "mnist-r")
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), hard))
written, refused = [], 0
for n in range(20):
    try:
        journal.append({"n": n, "pad": "x" * 10})
        written.append(n)
    except OSError:
        refused += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
journal.append({"n": "after"})
print(json.dumps([str(journal.path), written, refused]))
"""


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journals", "mnist-a.b")
    yield journal
    journal.close()


def test_what_is_appended_is_read(journal):
    journal.append({"n": 1, "text": "a\nb ö"})
    journal.append({"n": 2})
    entries, position = read(journal.path, 0)
    assert entries == [{"n": 1, "text": "a\nb ö"}, {"n": 2}]
    assert position == journal.path.stat().st_size


def test_reading_goes_on_where_it_ended(journal):
    journal.append({"n": 1})
    _, position = read(journal.path, 0)
    assert read(journal.path, position) == ([], position)
    journal.append({"n": 2})
    assert read(journal.path, position)[0] == [{"n": 2}]


def test_steps_are_read_as_they_were_logged(journal):
    journal.point({"loss": 0.5, "acc": math.inf}, 1, 10.0)
    journal.append({"_metrics": {"m": 1}})
    journal.point({"acc": 2}, 2, 11.0)
    entries, position = read(journal.path, 0)
    assert entries == [
        {"series": {"loss": 0.5, "acc": math.inf}, "step": 1, "time": 10.0},
        {"_metrics": {"m": 1}},
        {"series": {"acc": 2.0}, "step": 2, "time": 11.0},
    ]
    assert position == journal.path.stat().st_size
    others, series, same = collect(journal.path, 0)
    assert (others, same) == ([{"_metrics": {"m": 1}}], position)
    assert {key: (list(s.steps), list(s.values)) for key, s in series.items()} == {
        "loss": ([1], [0.5]),
        "acc": ([1, 2], [math.inf, 2.0]),
    }


def test_names_are_known_to_who_reads_on(journal):
    journal.point({"loss": 0.5}, 1, 10.0)
    keys = {}
    _, position = read(journal.path, 0, keys)
    journal.point({"loss": 0.25}, 2, 11.0)
    expected = [{"series": {"loss": 0.25}, "step": 2, "time": 11.0}]
    assert read(journal.path, position, keys)[0] == expected
    assert read(journal.path, position)[0] == expected  # looked for in what was read before


@pytest.mark.parametrize("bad", ["fast", None, 10**400, [1.0]])
def test_what_is_no_number_is_not_written(journal, bad):
    with pytest.raises((struct.error, OverflowError, TypeError)):
        journal.point({"loss": bad}, 1, 1.0)
    journal.point({"loss": 1.0}, 2, 1.0)
    assert [entry["step"] for entry in read(journal.path, 0)[0]] == [2]


@given(st.data())
def test_a_partial_last_record_is_left_for_later(tmp_path_factory, data):
    journal = Journal(tmp_path_factory.mktemp("journals"), "r")
    journal.append({"n": 1})
    whole = journal.path.stat().st_size
    journal.append({"n": 2})
    text = journal.path.read_bytes()
    cut = data.draw(st.integers(whole, len(text) - 1))
    journal.path.write_bytes(text[:cut])
    assert read(journal.path, 0) == ([{"n": 1}], whole)
    journal.path.write_bytes(text)
    assert read(journal.path, whole)[0] == [{"n": 2}]
    journal.close()


@given(st.data())
def test_a_damaged_record_is_passed_over_and_nothing_else(tmp_path_factory, data):
    journal = Journal(tmp_path_factory.mktemp("journals"), "r")
    ends = [0]
    for n in range(5):
        journal.append({"n": n, "text": "\xa7N" * n})  # its own magic is in it
        ends.append(journal.path.stat().st_size)
    text = bytearray(journal.path.read_bytes())
    at = data.draw(st.integers(0, ends[4] - 1))
    text[at] ^= data.draw(st.integers(1, 255))
    journal.path.write_bytes(text)
    hit = next(n for n in range(5) if at < ends[n + 1])
    assert [e["n"] for e in read(journal.path, 0)[0]] == [n for n in range(5) if n != hit]
    journal.close()


def test_a_journal_of_the_first_version_is_read(tmp_path):
    path = tmp_path / "mnist-r.77-ab.jsonl"
    path.write_bytes(b'\n{"n":1}\n\n{"n":\n1\n\n{"series":{"a":1.0},"step":3,"time":9.0}\n{"n"')
    entries, position = read(path, 0)
    assert entries == [{"n": 1}, {"series": {"a": 1.0}, "step": 3, "time": 9.0}]
    assert position == path.stat().st_size - 4
    assert list(collect(path, 0)[1]["a"].steps) == [3]
    assert context_of(path) == "mnist-r"


@pytest.mark.parametrize("limit", [1, 41, 50, 51, 82, 83, 127, 128, 129])
def test_what_a_full_disk_cut_is_not_joined_by_what_comes_after(tmp_path, limit):
    """A real failure: the system takes part of a line and then nothing."""
    import json
    from pathlib import Path

    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), str(limit)],
        capture_output=True, check=True,
    )  # fmt: skip
    path, written, refused = json.loads(done.stdout)
    assert len(written) + refused == 20
    assert refused > 0
    assert Path(path).stat().st_size > limit
    found = [entry["n"] for entry in read(Path(path), 0)[0]]
    assert found == [*written, "after"]


def test_the_file_says_which_context_it_belongs_to(journal):
    assert context_of(journal.path) == "mnist-a.b"


def test_each_journal_has_a_file_of_its_own(journal, tmp_path):
    other = Journal(tmp_path / "journals", "mnist-a.b")
    assert other.path != journal.path
    other.close()
    assert len(list((tmp_path / "journals").iterdir())) == 2


def test_threads_do_not_tear_each_others_lines(journal):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: journal.append({"n": n, "pad": "x" * 5000}), range(200)))
    assert sorted(entry["n"] for entry in read(journal.path, 0)[0]) == list(range(200))


def test_abandoned_when_closed_and_not_before(tmp_path):
    journal = Journal(tmp_path, "r")
    assert not abandoned(journal.path)
    journal.close()
    assert abandoned(journal.path)


def test_abandoned_when_the_writer_is_killed_and_not_while_it_lives(tmp_path):
    from pathlib import Path

    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        path = Path(writer.stdout.readline().decode().strip())
        assert not abandoned(path)
        assert not abandoned(path)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert abandoned(path)
    assert read(path, 0)[0] == [{"n": 1}]
