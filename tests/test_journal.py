import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from nbtools.journal import Journal, abandoned, context_of, read

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


def test_a_partial_last_line_is_left_for_later(journal):
    journal.append({"n": 1})
    whole = journal.path.stat().st_size
    with journal.path.open("ab") as file:
        file.write(b'{"n":')
    assert read(journal.path, 0) == ([{"n": 1}], whole)
    with journal.path.open("ab") as file:
        file.write(b"2}\n")
    assert read(journal.path, whole)[0] == [{"n": 2}]


def test_a_broken_line_is_passed_over(journal):
    with journal.path.open("ab") as file:
        file.write(b'{"n":\n')
    journal.append({"n": 2})
    assert read(journal.path, 0) == ([{"n": 2}], journal.path.stat().st_size)


@pytest.mark.parametrize("limit", [1, 100, 101, 111, 127, 128, 129])
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
    # An entry of which only the last line end is missing is whole all the same.
    assert found in ([*written, "after"], [*written, len(written), "after"])


def test_a_line_that_is_no_entry_is_passed_over(journal):
    with journal.path.open("ab") as file:
        file.write(b'1\n"x"\n[]\nnull\n\n')
    journal.append({"n": 2})
    assert read(journal.path, 0)[0] == [{"n": 2}]


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
