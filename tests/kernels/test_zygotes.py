"""Finding, starting, replacing and ending zygotes."""

import os
import resource
import signal
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from nbtools.errors import RequestError
from nbtools.kernels.zygotes import LIMIT, Spec, Zygotes, private
from tests.kernels.conftest import state, until

pytestmark = pytest.mark.slow
PARENT = "import os; print(os.getppid())"


def test_those_who_start_at_the_same_time_share_one(forks):
    def begin(number):
        other = type(forks)(Zygotes(forks.zygotes._folder), forks.folder, forks.lib, number)
        return other.run(PARENT)

    with ThreadPoolExecutor(8) as pool:
        parents = set(pool.map(begin, range(0, 80, 10)))
    assert parents == {forks.zygote().pid}


def test_a_zygote_that_is_killed_leaves_its_children_and_is_begun_anew(forks):
    calm = forks.begin("import time\ntime.sleep(1)\nprint('done')")
    first = forks.zygote().pid
    os.kill(first, signal.SIGKILL)
    assert forks.run(PARENT) != first
    assert calm.wait(60) == 1, "how it ended nobody knows; that it did is seen"
    assert calm.out.read_text() == "done\n"


def test_a_file_that_changed_on_disk_is_loaded_anew(forks):
    path = forks.module("mine", "value = 1")
    code = "import mine; print(mine.value)"
    assert forks.run(code, preload=["mine"]) == 1
    before = forks.zygote().pid
    assert forks.run(code, preload=["mine"]) == 1
    assert forks.zygote().pid == before
    path.write_text("value = 2222")
    assert forks.run(code, preload=["mine"]) == 2222
    path.unlink()
    fork = forks.begin(code, preload=["mine"])
    assert fork.wait(60) == 1
    assert "No module named 'mine'" in fork.out.read_text()
    assert "mine" in forks.zygote().refused


def test_what_a_zygote_is_depends_on_what_modules_may_have_read(tmp_path):
    def key(preload=(), python=sys.executable, options=(), base=(), **env):
        return Spec.of(python, preload, env, options, base).key

    assert key() == key(TERM="dumb", PWD="/", PYTEST_CURRENT_TEST="x", NBTOOLS_STORE="/x")
    others = [key(OMP_NUM_THREADS="1"), key(MPLBACKEND="agg"), key(CUDA_VISIBLE_DEVICES=""),
              key(PYTHONPATH="/x"), key(["numpy"]), key(python="/usr/bin/python3"),
              key(options=("-Xdev",)), key(base=("json",)), key(LANG="C"), key()]  # fmt: skip
    assert len(set(others)) == len(others)


@pytest.mark.parametrize(
    "prefix",
    [
        ["sh", "-c", 'ulimit -n 200; exec "$@"', "-"],
        ["sh", "-c", 'umask 077; exec "$@"', "-"],
        ["nice", "-n", "5"],
        ["taskset", "1"],
        ["unshare", "--user", "--map-root-user", "--mount"],
    ],
    ids=lambda p: p[0] if p[0] != "sh" else p[2].split()[0],
)
def test_what_a_zygote_is_depends_on_where_it_is_asked_from(prefix):
    code = "from nbtools.kernels.zygotes import Spec; print(Spec.of('python', (), {}, ()).key)"
    command = [sys.executable, "-c", code]
    if prefix[0] == "taskset" and len(os.sched_getaffinity(0)) == 1:
        pytest.skip("there is one core only")
    there = subprocess.run([*prefix, *command], capture_output=True, text=True, check=True)
    here = subprocess.run(command, capture_output=True, text=True, check=True)
    assert there.stdout != here.stdout


def test_a_fork_has_the_limits_of_who_asks(forks):
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    first = forks.run(code)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[0] - 7, before[1]))
    try:
        assert forks.run(code) == first - 7
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_nobody_else_can_connect(forks, runtime):
    forks.run("")
    assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
    (path,) = runtime.glob("*.sock")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_of_another_user_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(RequestError, match="another user"):
        private(tmp_path / "link")
    (tmp_path / "open").mkdir(mode=0o777)
    assert stat.S_IMODE(private(tmp_path / "open").stat().st_mode) == 0o700
    if os.getuid() == 0:
        os.chown(tmp_path / "real", 1, 1)
        with pytest.raises(RequestError, match="another user"):
            private(tmp_path / "real")


def test_an_idle_zygote_ends_and_leaves_no_socket(forks, runtime):
    forks.zygotes = Zygotes(runtime, idle=2.0)
    fork = forks.begin("import time; time.sleep(3)")
    pid = forks.zygote().pid
    assert fork.wait(60) == 0, "it was not idle while a child was at work"
    assert state(pid) not in ("", "Z")
    until(lambda: not state(pid))
    assert {path.suffix for path in runtime.iterdir()} <= {".lock", ".learned"}
    assert forks.zygotes.list() == []


def test_stop_lets_children_finish(forks):
    fork = forks.begin("import time; time.sleep(1); print('done')")
    pid = forks.zygote().pid
    assert forks.zygotes.stop() == 1
    assert forks.zygotes.list() == []
    assert fork.wait(60) == 0
    assert fork.out.read_text() == "done\n"
    until(lambda: state(pid) in ("", "Z"))


def test_there_are_never_more_than_a_few(forks):
    for number in range(LIMIT + 2):
        forks.run("", env={"NUMBER": str(number)})
    assert len(forks.zygotes.list()) == LIMIT


def test_an_interpreter_that_is_none_gives_no_fork(zygotes, tmp_path):
    from nbtools.kernels.fork import Program

    spec = Spec.of("/no/such/python", (), {}, ())
    program = Program(module="json.tool", argv=(), env={}, cwd=str(tmp_path))
    assert zygotes.fork(spec, program, 5.0) is None
    broken = Spec.of("/bin/false", (), {}, ())
    assert zygotes.fork(broken, program, 5.0) is None


def test_without_time_to_wait_the_next_has_it(forks):
    forks.module("slow", "import time; time.sleep(0.5)")
    assert forks.begin("", preload=["slow"], wait=0.0) is None
    until(forks.zygotes.list)
    fork = forks.begin("print(1)", preload=["slow"], wait=0.0)
    assert fork.wait(60) == 0


def test_warm_waits_until_it_has_loaded(forks):
    forks.module("slow", "import time; time.sleep(0.3)")
    env = {**os.environ, "PYTHONPATH": str(forks.lib)}
    spec = Spec.of(sys.executable, ("slow",), env, ())
    standing = forks.zygotes.warm(spec, 30.0)
    assert (standing.preload, standing.refused, standing.children) == (("slow",), {}, 0)
    assert standing.memory > 1 << 20


def test_sockets_of_kernels_that_are_no_more_are_swept_up(forks, runtime):
    private(runtime)
    for name in ("k-dead", "k-young"):
        for number in range(1, 6):
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(runtime / f"{name}-{number}"))
            if name == "k-dead":
                os.utime(runtime / f"{name}-{number}", (0, 0))
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(runtime / "k-alive-1"))
        alive.listen(1)
        os.utime(runtime / "k-alive-1", (0, 0))
        forks.run("")
    left = {path.name.rpartition("-")[0] for path in runtime.glob("k-*")}
    assert left == {"k-young", "k-alive"}
