"""Eight processes log into one run; four are killed; readers look meanwhile."""

import mmap
import os
import random
import signal
import struct
import subprocess
import sys
import time

import pytest

from nbtools.nouns import utc_now
from nbtools.runs import list_runs
from nbtools.store import Store

WRITERS, POINTS = 8, 50_000

#: counts in the shared file what has been acknowledged: after each call, not before.
WRITER = """
import mmap, struct, sys, time, nbtools
number, count = int(sys.argv[2]), int(sys.argv[3])
with open(sys.argv[1], "r+b") as file:
    done = mmap.mmap(file.fileno(), 0)
run = nbtools.start_run("ddp", resume=True)
print("open", flush=True)
sys.stdin.readline()
for step in range(count):
    run.log_time_series_metrics({f"rank{number}": step * 0.5}, step=step)
    struct.pack_into("<q", done, 8 * number, step + 1)
while len(sys.argv) > 4:
    time.sleep(1)  # until it is killed
run.end()
"""


@pytest.mark.slow
def test_every_acknowledged_point_is_there_whoever_was_killed(store_folder, tmp_path):
    counts = tmp_path / "counts"
    counts.write_bytes(bytes(8 * WRITERS))
    victims = random.sample(range(1, WRITERS), 4)  # the first answers for the run's end
    writers = []
    for number in range(WRITERS):
        command = [sys.executable, "-c", WRITER, str(counts), str(number), str(POINTS)]
        command += ["victim"] * (number in victims)
        writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert writer.stdout.readline() == b"open\n"
        writers.append(writer)
    for writer in writers:
        writer.stdin.write(b"\n")
        writer.stdin.close()
    with counts.open("r+b") as file, mmap.mmap(file.fileno(), 0) as done:
        for victim in victims:
            goal = random.randrange(1, POINTS // 2)
            while struct.unpack_from("<q", done, 8 * victim)[0] < goal:
                _look(store_folder)
            os.kill(writers[victim].pid, signal.SIGKILL)
        ended = [writer.wait() for writer in writers]
        acknowledged = struct.unpack(f"<{WRITERS}q", done[:])
    assert [code == -signal.SIGKILL for code in ended] == [n in victims for n in range(WRITERS)]
    (run,) = list_runs(Store(store_folder), utc_now())
    assert run.state == "COMPLETE"
    points = Store(store_folder).points(run.id)
    for number in range(WRITERS):
        found = [(step, value) for step, _, value in points[f"rank{number}"]]
        # One more may have been written than was acknowledged when its process was killed.
        assert 0 <= len(found) - acknowledged[number] <= (number in victims)
        assert found == [(step, step * 0.5) for step in range(len(found))]
    assert all(acknowledged[n] == POINTS for n in range(WRITERS) if n not in victims)
    assert Store(store_folder).check() == ""
    assert list((store_folder / "journals").iterdir()) == []


def _look(store_folder):
    """A reader: what it sees is whole, and grows."""
    store = Store(store_folder)
    (run,) = list_runs(store, utc_now())
    for series in store.points(run.id).values():
        assert [step for step, _, _ in series] == list(range(len(series)))
    store.close()
    time.sleep(0.001)
