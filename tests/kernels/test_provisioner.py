"""A forked kernel, as jupyter_client and all that uses it see a kernel."""

import asyncio
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import nbformat
import psutil
import pytest
from jupyter_client import AsyncKernelManager, KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError

from nbtools.kernels.fork import Fork
from nbtools.kernels.provisioner import Launch
from nbtools.kernels.zygotes import Zygotes
from nbtools.settings import Settings
from tests.kernels.conftest import Kernel, children, state, until

pytestmark = pytest.mark.slow


def zygote_pids():
    return {standing.pid for standing in Zygotes(Settings.load().runtime).list()}


def sockets():
    return list(Settings.load().runtime.glob("k-*"))


@pytest.mark.parametrize(
    ("cmd", "options", "argv"),
    [
        (["-m", "ipykernel_launcher", "-f", "x"], (), ("-f", "x")),
        (["-Xfrozen_modules=off", "-Wignore", "-m", "ipykernel"], ("-Xfrozen_modules=off",
         "-Wignore"), ()),
    ],
)  # fmt: skip
def test_command_lines_that_are_forked(cmd, options, argv):
    assert Launch.of([sys.executable, *cmd]) == Launch(sys.executable, options, argv)


@pytest.mark.parametrize(
    "cmd",
    [
        [sys.executable, "-m", "bash_kernel"],
        [sys.executable, "kernel.py"],
        [sys.executable, "-I", "-m", "ipykernel_launcher"],
        [sys.executable],
        [sys.executable, "-m"],
        ["no-such-program", "-m", "ipykernel_launcher"],
    ],
)
def test_command_lines_that_are_not(cmd):
    assert Launch.of(cmd) is None


def test_interrupt_restart_and_shutdown(kernel, tmp_path):
    made = kernel(env={**os.environ, "MINE": "yes"})
    pid = made.process.pid
    assert made.run("import os; x = 1; print(os.getpid(), os.getcwd(), os.environ['MINE'])") == (
        f"{pid} {tmp_path} yes\n"
    )
    assert children(os.getpid()).get(pid) is None, "it is the zygote's child"
    code = "import time\nprint('in', flush=True)\ntime.sleep(600)"
    sent = made.client.execute(code, stop_on_error=False)
    while made.client.get_iopub_msg(timeout=60)["msg_type"] != "stream":
        pass
    made.manager.interrupt_kernel()
    until(lambda: (reply := made.client.get_shell_msg(timeout=60))
          and reply["parent_header"]["msg_id"] == sent)  # fmt: skip
    assert made.run("print(x)") == "1\n", "what was there before the interrupt is still there"

    made.manager.restart_kernel()
    made.client.wait_for_ready(timeout=60)
    assert isinstance(made.process, Fork), "also the second time"
    assert made.process.pid != pid
    assert made.run("print('x' in globals())") == "False\n", "a restart begins anew"
    assert made.manager.is_alive()
    process = made.process
    made.manager.shutdown_kernel()
    assert process.poll() == 0
    assert not made.manager.is_alive()
    assert not made.manager.has_kernel
    assert sockets() == []


@pytest.mark.parametrize("now", [False, True])
def test_the_asynchronous_manager(specs, now):
    async def talk():
        manager = AsyncKernelManager(kernel_name="warm")
        await manager.start_kernel()
        process = manager.provisioner.process
        assert isinstance(process, Fork)
        client = manager.client()
        client.start_channels()
        await client.wait_for_ready(timeout=60)
        reply = await client.execute_interactive("x = 1", timeout=60)
        assert reply["content"]["status"] == "ok"
        first = process.pid
        await manager.restart_kernel(now=now)
        await client.wait_for_ready(timeout=60)
        process = manager.provisioner.process
        assert isinstance(process, Fork)
        assert process.pid != first
        assert await manager.is_alive()
        client.stop_channels()
        await manager.shutdown_kernel(now=now)
        assert process.poll() == (-9 if now else 0)
        assert not await manager.is_alive()

    asyncio.run(talk())
    assert sockets() == []


def test_a_server_of_many_kernels(specs):
    """As JupyterLab's server starts, restarts, interrupts and ends them."""
    from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

    async def serve():
        server = AsyncMappingKernelManager()
        names = [await server.start_kernel(kernel_name="warm") for _ in range(3)]
        processes = [server.get_kernel(name).provisioner.process for name in names]
        assert all(isinstance(process, Fork) for process in processes)
        await server.restart_kernel(names[0])
        again = server.get_kernel(names[0]).provisioner.process
        assert isinstance(again, Fork)
        assert again.pid != processes[0].pid
        await server.interrupt_kernel(names[1])
        assert server.kernel_model(names[1])["name"] == "warm"
        os.kill(processes[2].pid, signal.SIGKILL)
        until(lambda: processes[2].poll() == -9)
        assert not await server.get_kernel(names[2]).is_alive()
        await server.shutdown_all()
        assert again.poll() is not None
        assert processes[1].poll() is not None

    asyncio.run(serve())
    assert sockets() == []


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("import ctypes; ctypes.string_at(0)", -11),
        ("import os; os._exit(3)", 3),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9),
    ],
)
def test_a_crash_is_told_as_what_it_was_and_harms_no_other(kernel, code, status):
    broken, calm = kernel(), kernel()
    zygotes = zygote_pids()
    broken.client.execute(code)
    assert broken.process.wait(60) == status
    assert not broken.manager.is_alive()
    assert calm.run("print(1)") == "1\n"
    assert kernel().run("print(2)") == "2\n"
    assert zygote_pids() == zygotes


def test_nbclient_sees_that_a_kernel_died(specs):
    cells = [nbformat.v4.new_code_cell("import os; os._exit(3)")]
    with pytest.raises(DeadKernelError):
        NotebookClient(nbformat.v4.new_notebook(cells=cells), kernel_name="warm").execute()


def test_a_zygote_that_is_killed_leaves_its_kernels(kernel):
    calm = kernel()
    (before,) = {psutil.Process(calm.process.pid).ppid()}
    os.kill(before, signal.SIGKILL)
    assert calm.run("print(1)") == "1\n"
    other = kernel()
    assert psutil.Process(other.process.pid).ppid() != before
    assert other.run("print(2)") == "2\n"
    process = calm.process
    calm.manager.shutdown_kernel()
    assert not calm.manager.is_alive()
    assert state(process.pid) in ("", "Z")


def test_nobody_else_can_connect(kernel):
    made = kernel()
    assert made.manager.transport == "ipc"
    assert stat.S_IMODE(Settings.load().runtime.stat().st_mode) == 0o700
    found = sockets()
    assert len(found) == 5
    found = psutil.Process(made.process.pid).net_connections()
    listening = [c.laddr.ip for c in found if c.status == psutil.CONN_LISTEN]
    # ipykernel's own, by which processes that a cell has forked print; it takes text only,
    # from those who know a secret.
    assert listening == ["127.0.0.1"]


def test_a_kernel_whose_server_is_killed_ends_and_leaves_no_socket(specs, tmp_path):
    code = """
import time
from jupyter_client import KernelManager
manager = KernelManager(kernel_name="warm")
manager.start_kernel()
print(manager.provisioner.process.pid, manager.connection_file, flush=True)
time.sleep(600)
"""
    server = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid, connection_file = server.stdout.readline().split()
    assert len(sockets()) == 5
    server.kill()
    server.wait()
    until(lambda: not state(pid) and not sockets() and not Path(connection_file).exists())


def test_a_file_left_open_is_whole_and_exit_functions_run(kernel, tmp_path):
    made = kernel()
    made.run(
        "import atexit, pathlib\n"
        "file = open('kept.txt', 'w'); _ = file.write('x' * 5000)\n"
        "_ = atexit.register(pathlib.Path('atexit.txt').write_text, 'ran')\n"
        "class Thing:\n    def __del__(self): open('deleted.txt', 'w').write('yes')\n"
        "thing = Thing()"
    )
    made.manager.shutdown_kernel()
    assert len((tmp_path / "kept.txt").read_text()) == 5000
    assert (tmp_path / "atexit.txt").read_text() == "ran"
    assert (tmp_path / "deleted.txt").read_text() == "yes"


NOTEBOOK = ["import os", "print(os.getppid())", "os.getcwd()"]


@pytest.fixture
def notebook(tmp_path, specs):
    path = tmp_path / "in.ipynb"
    cells = list(map(nbformat.v4.new_code_cell, NOTEBOOK))
    metadata = {"kernelspec": {"name": "warm", "display_name": "warm", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


def assert_forked(path):
    cells = nbformat.read(path, 4).cells
    assert int(cells[-2].outputs[0].text) in zygote_pids()


def test_papermill_uses_it_unchanged(notebook, tmp_path):
    from papermill import execute_notebook

    execute_notebook(notebook, tmp_path / "out.ipynb", progress_bar=False)
    assert_forked(tmp_path / "out.ipynb")
    assert sockets() == []


def test_nbclient_uses_it_unchanged(notebook):
    node = nbformat.read(notebook, 4)
    NotebookClient(node, kernel_name="warm").execute()
    nbformat.write(node, notebook)
    assert_forked(notebook)
    assert sockets() == []


def test_nbconvert_uses_it_unchanged(notebook):
    command = [sys.executable, "-m", "nbconvert", "--execute", "--to", "notebook", "--inplace"]
    subprocess.run([*command, str(notebook)], check=True, capture_output=True)
    assert_forked(notebook)
    assert sockets() == []


def test_history_is_each_sessions_own_as_with_any_kernel(specs, tmp_path, monkeypatch):
    """Kernels whose name is not python* write history; two at once must not trip over it."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    made = []
    for _ in range(2):
        manager = KernelManager(kernel_name="warm")
        manager.start_kernel()
        made.append(Kernel(manager))
    for number, one in enumerate(made):
        one.client.execute_interactive(f"x = {number}", store_history=True, timeout=60)
    for one in made:
        one.client.stop_channels()
        one.manager.shutdown_kernel()
    history = tmp_path / "ipython/profile_default/history.sqlite"
    rows = sqlite3.connect(history).execute("SELECT session, source FROM history").fetchall()
    assert len({session for session, _ in rows}) == 2
    assert sorted(source for _, source in rows) == ["x = 0", "x = 1"]


def test_inline_figures_appear_when_matplotlib_is_loaded_before(kernel):
    made = kernel("warm-numpy")
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
    shown = [m for m in made.hear(code) if m["msg_type"] == "display_data"]
    assert [set(m["content"]["data"]) for m in shown] == [{"image/png", "text/plain"}]
    assert "inline" in made.run("import matplotlib; print(matplotlib.get_backend())")


def test_a_folder_that_is_gone_is_the_same_error(specs):
    with pytest.raises(FileNotFoundError):
        KernelManager(kernel_name="warm").start_kernel(cwd="/no/such/folder")


def test_while_a_zygote_is_cold_the_kernel_is_an_ordinary_one(tmp_path, monkeypatch, runtime):
    from tests.kernels.conftest import write_spec

    write_spec(tmp_path, "cold", config={"patience": 0.0})
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    runtime.mkdir()
    for expected in (subprocess.Popen, Fork):
        manager = KernelManager(kernel_name="cold")
        manager.start_kernel()
        made = Kernel(manager)
        assert isinstance(made.process, expected)
        assert made.run("import json; print(json.dumps([1]))") == "[1]\n"
        made.client.stop_channels()
        manager.shutdown_kernel()
        until(lambda: Zygotes(runtime / "nbtools").list())
    assert list((runtime / "nbtools").glob("k-*")) == []
    assert Zygotes(runtime / "nbtools").stop() == 1
    assert json.dumps(sorted(zygote_pids())) == "[]"
