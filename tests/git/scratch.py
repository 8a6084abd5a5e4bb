"""Notebooks made on the spot, and a scratch repository whose driver is ours."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat

START = Path(__file__).parents[2] / "nbtools" / "git" / "start.py"


def cell(source="", id="", kind="code", outputs=(), **metadata):
    lines = source.splitlines(keepends=True)
    made = {"cell_type": kind, "id": id, "metadata": metadata, "source": lines}
    if not id:
        del made["id"]
    if kind == "code":
        made |= {"execution_count": 7 if outputs else None, "outputs": [stream(o) for o in outputs]}
    return dict(sorted(made.items()))


def stream(text):
    return {"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)}


def cells(**sources):
    return [cell(source, name) for name, source in sources.items()]


def notebook(*parts, minor=5, **metadata):
    made = {"cells": list(parts), "metadata": metadata, "nbformat": 4, "nbformat_minor": minor}
    return (json.dumps(made, indent=1, ensure_ascii=False) + "\n").encode()


def read(data):
    """The notebook in `data`, checked as strictly as nbformat can."""
    loaded = json.loads(data)
    nbformat.validate(json.loads(data))
    ids = [c["id"] for c in loaded["cells"] if "id" in c]
    assert len(set(ids)) == len(ids)
    return loaded


def sources(data):
    return ["".join(c["source"]) for c in read(data)["cells"]]


def marker(part):
    return part["metadata"].get("nbtools_conflict", "")


class Scratch:
    """A repository in a folder, with the merge and the diff driver set by hand."""

    def __init__(self, folder, driver=True):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.git("init", "-q", "-b", "main")
        for key, value in {
            "user.name": "t",
            "user.email": "t@example.com",
            "core.autocrlf": "false",
            "commit.gpgsign": "false",
        }.items():
            self.git("config", key, value)
        if driver:
            start = f'"{sys.executable}" -I -S "{START}"'
            self.git("config", "merge.nbtools.driver", f"{start} merge %O %A %B %L %P %X %Y")
            self.git("config", "diff.nbtools.textconv", f"{start} textconv")
            self.attributes("*.ipynb merge=nbtools diff=nbtools")

    def attributes(self, text):
        path = self.folder / ".git" / "info" / "attributes"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n")

    def run(self, *arguments, **options):
        return subprocess.run(
            ["git", *arguments], cwd=self.folder, capture_output=True, timeout=120, **options
        )

    def git(self, *arguments):
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
        return done.stdout.decode()

    def write(self, name, data):
        (self.folder / name).write_bytes(data)
        return self.folder / name

    def commit(self, name, data, message="c"):
        self.write(name, data)
        self.git("add", "-A")
        self.git("commit", "-qm", message, "--allow-empty")

    def fork(self, name, base, ours, theirs):
        """main holds `ours`, the branch `theirs` holds theirs; both come from `base`."""
        self.commit(name, base, "base")
        self.git("checkout", "-qb", "theirs")
        self.commit(name, theirs, "theirs")
        self.git("checkout", "-q", "main")
        self.commit(name, ours, "ours")
        return self.folder / name
