"""The unit of the service, and what is said where there is no systemd."""

import configparser
import os
import subprocess
from pathlib import Path

from nbtools.settings import Settings
from nbtools.unit import install, unit


def test_the_unit_names_store_and_folder_whatever_they_are_called(tmp_path):
    text = unit(
        Settings(store=Path('/data/50% "off"/store')), Path("/home/me/my project"), ["-j", "3"]
    )
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str
    parser.read_string(text)
    service = parser["Service"]
    assert service["ExecStart"].endswith('nbtools" "service" "run" "-j" "3"')
    assert service["Environment"] == '"NBTOOLS_STORE=/data/50%% \\"off\\"/store"'
    assert service["WorkingDirectory"] == "/home/me/my project"
    assert service["KillMode"] == "process"  # jobs outlive the service


def fake_systemctl(folder, code):
    """A systemctl of the test's own: there is none to talk to in a container."""
    program = folder / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$@" >> "{folder}/calls"\nexit {code}\n')
    program.chmod(0o755)


def test_with_systemd_the_unit_is_written_and_begun(tmp_path, monkeypatch):
    fake_systemctl(tmp_path, 0)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    settings = Settings(store=tmp_path / "store", config_home=tmp_path / "config")
    done = install(settings, tmp_path, "nbtools-x", ["-j", "2"])
    assert done.done
    assert done.path == tmp_path / "config/systemd/user/nbtools-x.service"
    assert done.path.read_text() == unit(settings, tmp_path, ["-j", "2"])
    assert (tmp_path / "calls").read_text().splitlines()[1:] == [
        "--user daemon-reload", "--user enable --now nbtools-x.service"
    ]  # fmt: skip


def test_without_systemd_the_line_for_cron_is_one_that_a_shell_takes(tmp_path, monkeypatch):
    fake_systemctl(tmp_path, 1)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    folder = tmp_path / "my project"
    folder.mkdir()
    done = install(Settings(store=tmp_path / "my store"), folder, "nbtools", [])
    assert not done.done
    assert done.path is None
    line = next(line for line in done.advice if line.startswith("@reboot "))
    command = line.removeprefix("@reboot ").replace("service run", "service status")
    said = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert "no service runs" in said.stdout, said.stderr
    assert (tmp_path / "my store" / "store.sqlite").exists()
