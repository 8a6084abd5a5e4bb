"""A real JupyterLab and a real browser: what tests, pictures and figures of views need."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import nbformat
from nbformat.v4 import new_code_cell, new_notebook


def until(said, wanted, seconds=60):
    """What `wanted` returns as soon as that is something; `said` is what was waited for."""
    end = time.monotonic() + seconds
    while not (found := wanted()):
        assert time.monotonic() < end, f"in {seconds} s not: {said}"
        time.sleep(0.1)
    return found


class Lab:
    """JupyterLab on a folder of its own, and notebooks opened in it."""

    def __init__(self, folder, env, url, browser):
        self.folder, self.env, self.url = folder, env, url
        self.store = folder / "store"
        context = browser.new_context(viewport={"width": 1280, "height": 1500})
        self.page = context.new_page()
        self.page.set_default_timeout(60_000)
        self.errors = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        # What a text that was taken for a script would call.
        self.page.add_init_script(
            "window.hacked = 0; window.alert = () => { window.hacked += 1; };"
        )

    def open(self, name, *cells):
        """A new notebook of these cells, open, with its kernel there."""
        node = new_notebook(
            cells=[new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(node, self.folder / name)
        self.reopen(name)

    def reopen(self, name):
        self.page.goto(f"{self.url}/doc/tree/{name}")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")

    def command(self, name):
        self.page.wait_for_function("window.jupyterapp && window.jupyterapp.shell.currentWidget")
        return self.page.evaluate(f"window.jupyterapp.commands.execute('{name}')")

    def run_all(self, wait=True):
        """Execute all cells; not `wait`: only begin to."""
        self.page.wait_for_function(
            "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status"
            " === 'idle'"
        )
        call = "window.jupyterapp.commands.execute('notebook:run-all-cells')"
        self.page.evaluate(call if wait else f"void {call}")

    def saved(self, name):
        """The notebook's file as it is when it was saved now."""
        self.command("docmanager:save")
        return nbformat.read(self.folder / name, as_version=4)

    def shutdown(self):
        self.command("kernelmenu:shutdown")


@contextmanager
def chromium():
    """A browser without a window."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    assert found, "this needs Chromium: apt-get install chromium"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def started(folder, browser):
    """A JupyterLab whose root, store and settings are in `folder`."""
    home = folder / "home"
    settings = home / "config/lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(
        json.dumps({"fetchNews": "false", "checkForUpdates": False})
    )
    # Its page says so when its server's half is not enabled, in a dialog above everything.
    (home / "config/labconfig").mkdir()
    (home / "config/labconfig/page_config.json").write_text(
        json.dumps({"disabledExtensions": {"@jupyterlab/scheduler": True}})
    )
    env = {
        **os.environ,
        "NBTOOLS_STORE": str(folder / "store"),
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
    }
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0",
        "--ServerApp.port_retries=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}",
        "--LabApp.expose_app_in_browser=True", "--ServerApp.disable_check_xsrf=True",
        f"--LabApp.user_settings_dir={home / 'config/lab/user-settings'}",
        f"--LabApp.workspaces_dir={home / 'workspaces'}", "--LabApp.news_url=None",
    ]  # fmt: skip
    with (folder / "lab.log").open("w") as log:
        process = subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=log)
    try:
        yield Lab(
            folder, env, until("JupyterLab answers", lambda: answering(process, home)), browser
        )
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:  # asked while it was about to begin: it does not hear
            process.kill()
            process.wait()


def answering(process, home):
    """The URL of the server when it answers."""
    assert process.poll() is None, (home.parent / "lab.log").read_text()
    for file in (home / "runtime").glob("jpserver-*.json"):
        try:
            url = f"http://127.0.0.1:{json.loads(file.read_text())['port']}"
            urllib.request.urlopen(f"{url}/api", timeout=5)
        except (OSError, ValueError):
            return None
        return url
    return None
