"""The program that forks: what it forks is as good as started anew, and harms no other."""

import json
import os
import signal
import subprocess
import sys

import pytest

from nbtools.kernels import wire
from nbtools.kernels.fork import Program
from nbtools.kernels.zygotes import Zygotes
from nbtools.settings import Settings
from tests.kernels.conftest import Forks, children, state, until

pytestmark = pytest.mark.slow

ME = """
import json, os, resource, signal, sys
print(json.dumps({
    "argv": sys.argv[1:], "file": sys.argv[0], "name": __name__, "main": __spec__.name,
    "path": sys.path, "cwd": os.getcwd(), "flags": list(sys.flags), "umask": os.umask(0o22),
    "env": {k: v for k, v in os.environ.items() if k not in ("LC_CTYPE", "_")},
    "leader": [os.getpgrp() == os.getpid(), os.getsid(0) == os.getpid()],
    "signals": [str(signal.getsignal(n)) for n in signal.valid_signals()],
    "blocked": list(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))),
    "executable": [sys.executable, sys.prefix], "stdin": sys.stdin.read(),
    "encoding": [sys.stdout.encoding, sys.stdout.line_buffering],
    "fds": sorted(set(map(int, os.listdir("/proc/self/fd"))) - {0, 1, 2})[:-1],
}))
"""


def test_a_fork_is_what_python_m_would_be(forks):
    (forks.folder / "program1.py").write_text(ME)
    env = {**os.environ, "PYTHONPATH": str(forks.lib), "MINE": "ü"}
    done = subprocess.run(
        [sys.executable, "-m", "program1", "one", "two words"],
        env=env, cwd=forks.folder, capture_output=True, stdin=subprocess.DEVNULL,
        start_new_session=True, check=True,
    )  # fmt: skip
    forked = forks.run(ME, "one", "two words", env={"MINE": "ü"})
    ours = forked.pop("fds")
    expected = json.loads(done.stdout)
    expected.pop("fds")
    assert forked == expected
    assert len(ours) <= 1, "but for the lifeline nothing of the zygote's is open"


@pytest.mark.parametrize("how", ["-P", "PYTHONSAFEPATH"])
def test_a_safe_path_is_kept(forks, how):
    """The first of PYTHONPATH stays where it was, and the working folder stays out."""
    forks.module("beside", "here = True")
    code = "import beside, os, sys\nprint(os.getcwd() in sys.path)"
    env = {"PYTHONSAFEPATH": "1"} if how.startswith("PYTHON") else {}
    options = () if env else ("-P",)
    env["PYTHONPATH"] = f"{forks.lib}:{forks.folder}/.."
    (forks.lib / "program1.py").write_text(code)
    assert forks.run(code, env=env, options=options).strip() == "False"


def test_each_fork_has_the_modules_as_they_were_loaded(forks):
    forks.module("memory", "seen = []")
    code = "import memory\nmemory.seen.append(1)\nprint(len(memory.seen))"
    assert [forks.run(code, preload=["memory"]) for _ in range(3)] == [1, 1, 1]


def test_random_numbers_differ_and_a_seed_gives_the_same(forks):
    code = "import json, random\na = random.random()\nrandom.seed(1)\nprint([a, random.random()])"
    (a, seeded), (b, again) = (forks.run(code, preload=["random"]) for _ in range(2))
    assert a != b
    assert seeded == again


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        ("", 0, ""),
        ("import sys; sys.exit()", 0, ""),
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('no luck')", 1, "no luck\n"),
        ("1 / 0", 1, "ZeroDivisionError"),
        ("raise KeyboardInterrupt", -2, "KeyboardInterrupt"),
        ("import os; os._exit(5)", 5, ""),
        ("import os; os.kill(os.getpid(), 9)", -9, ""),
        ("import os; os.kill(os.getpid(), 15)", -15, ""),
        ("import ctypes; ctypes.string_at(0)", -11, ""),
    ],
)
def test_how_a_fork_ended_is_told_as_it_was(forks_of_module, code, status, says):
    fork = forks_of_module.begin(code)
    assert fork.wait(60) == status
    assert fork.poll() == status
    assert says in fork.out.read_text()


@pytest.fixture(scope="module")
def forks_of_module(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forks")
    (folder / "lib").mkdir()
    zygotes = Zygotes(Settings.load().runtime, idle=2.0)
    return Forks(zygotes, folder, folder / "lib")


def test_the_crash_of_one_harms_no_other(forks):
    calm = forks.begin("import sys, time\ntime.sleep(1)\nprint('done')")
    for code in ("import ctypes; ctypes.string_at(0)", "import os; os.kill(os.getpid(), 9)"):
        forks.begin(code).wait(60)
    before = forks.zygote().pid
    assert forks.run("print(1)") == 1
    assert forks.zygote().pid == before
    assert calm.wait(60) == 0
    assert calm.out.read_text() == "done\n"


def test_what_a_fork_leaves_unsaid_is_said_at_its_end(forks):
    """As at any end of Python: files are flushed, threads waited for, finalizers run."""
    code = """
import atexit, io, sys, threading, time, weakref
kept = open("kept.txt", "w"); kept.write("x" * 5000)
raw = open("raw.bin", "wb"); raw.write(b"y" * 5000)
class Thing:
    def __del__(self): open("deleted.txt", "w").write("yes")
thing = Thing()
me = thing.me = thing  # only the collector finds it
del thing
other = Thing; final = weakref.finalize(other, print, "finalized")
atexit.register(print, "atexit")
threading.Thread(target=lambda: (time.sleep(0.3), print("thread"))).start()
sys.stdout.write("no newline ")
"""
    fork = forks.begin(code)
    assert fork.wait(60) == 0
    said = fork.out.read_text()
    assert said.startswith("no newline thread\n")
    assert {"atexit", "finalized"} <= set(said.split())
    assert len((forks.folder / "kept.txt").read_text()) == 5000
    assert len((forks.folder / "raw.bin").read_bytes()) == 5000
    assert (forks.folder / "deleted.txt").read_text() == "yes"


def test_what_the_zygote_would_clean_up_is_not_cleaned_up_by_its_children(forks):
    forks.module("tidy", "import tempfile\nfolder = tempfile.TemporaryDirectory()")
    code = "import os, tidy\nprint(os.path.isdir(tidy.folder.name))"
    assert [forks.run(code, preload=["tidy"]) for _ in range(3)] == ["True\n"] * 3


def test_what_modules_do_at_the_end_is_done_in_each_child(forks):
    """A logger's buffer is written, although logging was loaded in the zygote."""
    code = """
import logging, logging.handlers
log = logging.getLogger("x")
target = logging.FileHandler("log.txt")
log.addHandler(logging.handlers.MemoryHandler(1000, target=target))
log.warning("hello")
"""
    forks.run(code, preload=["logging.handlers"])
    assert (forks.folder / "log.txt").read_text() == "hello\n"


def test_no_zombie_is_left(forks):
    for _ in range(5):
        forks.run("")
    assert children(forks.zygote().pid) == {}


CLIENT = """
import sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from nbtools.kernels.fork import Program
from nbtools.kernels.zygotes import Spec, Zygotes
import os
program = Program(module={module!r}, argv=(), env=dict(os.environ), cwd={cwd!r},
                  leavings=({leaving!r},), detached={detached})
spec = Spec.of(sys.executable, (), os.environ, ())
fork = Zygotes(Path({runtime!r}), 2.0).fork(spec, program)
print(fork.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("detached", [False, True])
def test_the_lifeline_ends_what_its_client_left(forks, runtime, tmp_path, detached):
    leaving = tmp_path / "socket"
    leaving.touch()
    (forks.folder / "sleeper.py").write_text(
        "import subprocess, time\np = subprocess.Popen(['sleep', '600'])\n"
        "open('pid', 'w').write(str(p.pid))\nopen('ready', 'w')\ntime.sleep(600)"
    )
    code = CLIENT.format(
        root=os.getcwd(), module="sleeper", cwd=str(forks.folder), leaving=str(leaving),
        runtime=str(runtime), detached=detached,
    )  # fmt: skip
    client = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    pid = int(client.stdout.readline())
    until((forks.folder / "ready").exists)
    its_own = int((forks.folder / "pid").read_text())
    client.kill()
    client.wait()
    if detached:
        forks.run("")  # the zygote has had its time to do wrong
        assert state(pid) not in ("", "Z")
        os.killpg(pid, signal.SIGKILL)
    until(lambda: not state(pid) and state(its_own) in ("", "Z"))
    if not detached:
        until(lambda: not leaving.exists())


def test_a_request_that_nobody_waits_for_any_more_is_not_served(forks, tmp_path, zygotes, runtime):
    """Whoever gave up has an ordinary kernel by now, with these very files."""
    forks.run("")
    pid = forks.zygote().pid
    leaving = tmp_path / "socket"
    leaving.touch()
    (forks.folder / "late.py").write_text("open('late', 'w')")
    os.kill(pid, signal.SIGSTOP)
    connection = wire.socket.socket(wire.socket.AF_UNIX)
    connection.connect(str(next(runtime.glob("*.sock"))))
    program = Program(module="late", argv=(), env={}, cwd=str(forks.folder),
                      leavings=(str(leaving),))  # fmt: skip
    wire.send(connection, program.request(), [0, 1, 2, os.open(os.devnull, os.O_RDONLY)])
    connection.close()
    os.kill(pid, signal.SIGCONT)
    forks.run("import time; time.sleep(0.5)")
    assert leaving.exists()
    assert not (forks.folder / "late").exists()


def test_a_module_beside_the_program_goes_before_one_that_is_loaded(forks):
    """As it would without a zygote; so this one must not be forked from there."""
    forks.module("plan", "where = 'lib'")
    assert forks.run("import plan; print(plan.where)", preload=["plan"]) == "lib\n"
    (forks.folder / "plan.py").write_text("where = 'here'")
    assert forks.begin("import plan; print(plan.where)", preload=["plan"]) is None
    (forks.folder / "plan.py").unlink()
    assert forks.run("import plan; print(plan.where)", preload=["plan"]) == "lib\n"


def test_a_message_that_is_none_does_no_harm(forks, runtime):
    forks.run("")
    for junk in (b"", b"\0", b"\xff" * 64, b"\0\0\0\2{}", b"\0\0\0\1x"):
        with wire.socket.socket(wire.socket.AF_UNIX) as connection:
            connection.connect(str(next(runtime.glob("*.sock"))))
            connection.sendall(junk)
    before = forks.zygote().pid
    assert forks.run("print(1)") == 1
    assert forks.zygote().pid == before
