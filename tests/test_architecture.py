"""The rules of the house: who imports whom, how large files are, what loads when."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "nbtools"
SOURCES = sorted(PACKAGE.rglob("*.py"))

#: module -> its layer; imports point to the same layer or below, never up.
LAYERS = [
    {
        "nouns", "states", "errors", "settings", "notebook", "parameter", "value", "registry",
        "cron", "duration", "schedule", "placeholders", "due", "below", "masking", "secrets",
        "yaml_file", "machine",
    },
    {
        "store", "rows", "metadata", "journal", "points", "summaries", "drain", "migrations",
        "damage", "logbook", "cloud", "sampling", "mount", "clauses", "filters", "grammar",
        "terms", "removal",
        "executor", "executors", "kernels", "engine",
        "client", "kernel", "screen", "progress", "transcript", "papermill_engine", "checkpoint",
        "limits", "runner", "rehearsal", "messages", "page", "importer", "importers", "eventfile",
        "protowire", "tensorproto", "mirror", "mirrors", "spool", "shipment", "farewell",
        "contents", "digests", "revision", "care", "salvage", "carving", "rebuild", "repair",
        "clock", "timetable", "tally", "leftovers", "resources", "delivery", "vertex",
    },
    {
        "prepare", "request", "keyring", "jobs", "submission", "batch", "resume", "cache", "watch",
        "outputs", "retry", "successor", "evidence", "monitor", "retention", "disposal",
        "experiments", "experiment", "experiment_run", "open_run", "opening", "about",
        "autolog", "keepsake",
        "space", "objective", "design", "search", "tpe", "trials", "pruning", "conductor", "sweeps",
        "sweep_page", "chart",
        "frame", "runs", "columns", "comparison", "curation", "export", "figures", "importance",
        "runs_page", "loggable", "lineage", "card", "homeward", "warming", "doctor",
        "graph", "layout", "drawing", "picture", "openlineage", "executions", "inputs",
        "importing", "intake", "mirroring", "push", "exchange", "tensorboard", "run_writer",
        "board", "template",
        "harvest", "delegation", "schedule_check", "attempt", "dispatch", "schedules", "declared",
        "notices", "service", "unit", "metrics",
        "workbench",
    },
    {"git", "differences", "differences_page", "emulator", "lab", "ui", "widgets"},
    {"cli", "command"},
]  # fmt: skip
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}
THIRD_PARTY_AT_TOP = {
    "engine": {"nbformat", "papermill"},
    "client": {"jupyter_core", "nbclient", "nbformat"},
    "kernel": {"jupyter_client", "jupyter_core", "traitlets", "zmq"},
    "screen": {"nbclient"},
    "progress": {"nbformat", "papermill"},
    "papermill_engine": {"papermill"},
    "page": {"nbformat", "nbconvert"},
    "rehearsal": {"nbformat", "jupyter_client"},
    "kernels": {"jupyter_client", "traitlets"},
    "cli": {"click"},
    "lab": {"jupyter_scheduler", "jupyter_server", "tornado"},
    "widgets": {"anywidget", "traitlets"},
    "run_writer": {"torch"},
    "emulator": {"gcp_storage_emulator"},  # whose classes two of its files derive from
}


def noun(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path, top_only=False):
    tree = ast.parse(path.read_text())
    found = [tree.body] if top_only else [list(ast.walk(tree))]
    for node in found[0]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "nbtools":
                yield from (f"nbtools.{alias.name}" for alias in node.names)


def typing_only(path):
    tree = ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from (inner.module for inner in node.body if isinstance(inner, ast.ImportFrom))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    if path.name == "__init__.py" and path.parent == PACKAGE:
        return  # the public names, each imported when asked for
    allowed = set(typing_only(path))
    for module in imports(path):
        parts = module.split(".")
        ours = parts[0] == "nbtools" and len(parts) > 1 and parts[1] in LAYER
        if ours and module not in allowed:
            assert LAYER[parts[1]] <= LAYER[noun(path)], f"{path.name} imports {module}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_third_party_packages_are_imported_when_used(path):
    stdlib = sys.stdlib_module_names | {"nbtools"}
    found = {m.partition(".")[0] for m in imports(path, top_only=True)} - stdlib
    assert found <= THIRD_PARTY_AT_TOP.get(noun(path), set())


def test_googles_packages_are_imported_in_their_adapters_and_the_emulator_only():
    of = ("google", "grpc", "cryptography")
    found = {path for path in SOURCES for m in imports(path) if m.partition(".")[0] in of}
    outside = {path.relative_to(PACKAGE).as_posix() for path in found if noun(path) != "emulator"}
    assert outside == {
        "cloud.py", "workbench/client.py", "vertex/calls.py", "vertex/service.py",
    }  # fmt: skip


def test_nothing_but_its_command_imports_the_emulator():
    found = {path.name for path in SOURCES for m in imports(path) if m.startswith("nbtools.emul")}
    inside = {path.name for path in (PACKAGE / "emulator").rglob("*.py")}
    assert found - inside <= {"emulator.py"}


def test_widgets_are_imported_when_one_is_shown():
    assert third_party(loaded_by("import nbtools; nbtools.ui.run")) == set()


def test_every_module_has_a_layer():
    assert {noun(p) for p in SOURCES} - {"__init__"} == set(LAYER)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_stay_small_and_are_named_by_nouns(path):
    assert len(path.read_text().splitlines()) <= 400
    assert path.stem not in {"utils", "helpers", "common", "misc"}


def test_sql_stays_in_the_store():
    words = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE) .*(FROM|INTO|SET)\b")
    # database.py only reads, and only other programs' files.
    assert {p.name for p in SOURCES if words.search(p.read_text())} == {
        "store.py", "points.py", "summaries.py", "drain.py", "migrations.py",
        "clauses.py", "removal.py", "database.py", "contents.py", "care.py", "salvage.py",
        "rebuild.py", "timetable.py", "tally.py", "resources.py",
    }  # fmt: skip


def test_the_environment_is_read_in_settings():
    readers = {p.name for p in SOURCES if re.search(r"os\.environ\b(?!\[)|getenv", p.read_text())}
    # The others belong to programs of their own.
    assert readers == {"settings.py", "forked.py", "sitecustomize.py"}


def test_except_exception_has_its_reason():
    for path in SOURCES:
        for line in path.read_text().splitlines():
            if "except Exception" in line or "except BaseException" in line:
                assert "#" in line or "BaseException" in line, f"{path.name}: {line}"


def loaded_by(code):
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys, json; print(json.dumps(list(sys.modules)))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def third_party(names):
    own = {"nbtools", "_distutils_hack", "sitecustomize", "usercustomize"}
    before = loaded_by("pass")
    return {n for n in names - set(sys.stdlib_module_names) - before - own if not n.startswith("_")}


def test_import_nbtools_loads_no_third_party_package():
    assert third_party(loaded_by("import nbtools")) == set()


def test_the_experiments_api_loads_no_third_party_package():
    assert third_party(loaded_by("import nbtools; nbtools.log_metrics")) == set()


def test_help_and_lists_load_only_click():
    assert third_party(loaded_by("import nbtools.cli, nbtools.cli.jobs, nbtools.cli.runs")) == {
        "click"
    }


def test_looking_for_an_emulator_loads_no_third_party_package():
    assert third_party(loaded_by("from nbtools.emulator import lifecycle")) == set()


def test_public_names_resolve_and_are_few():
    import nbtools

    assert len(nbtools.__all__) <= 32
    assert set(nbtools.__all__) == {*nbtools._WHERE, "__version__"}
    assert all(getattr(nbtools, name) is not None for name in nbtools.__all__)


def test_help_table_and_commands_say_the_same():
    from nbtools.cli import COMMANDS, cli

    for name, (_, text) in COMMANDS.items():
        assert cli.get_command(None, name).short_help == text


def test_cli_reference_is_generated_from_the_commands():
    # In a process of its own: commands that were called in this one look different.
    code = "from generate import reference; print(reference(), end='')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "docs", capture_output=True, text=True, check=True
    )
    assert (ROOT / "docs/reference/cli.md").read_text() == done.stdout, "run `make docs`"


@pytest.mark.parametrize("folder", ["templates", "notebooks"])
def test_notebooks_are_stripped(folder):
    for path in (ROOT / folder).glob("*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            if cell["cell_type"] == "code":
                assert cell["outputs"] == [], path
                assert cell["execution_count"] is None, path


def test_schema_is_what_the_store_has():
    from nbtools.store import Store

    store = Store(None)
    tables = {r[0] for r in store._execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == set(re.findall(r"CREATE TABLE (\w+)", (PACKAGE / "schema.sql").read_text()))


def test_every_package_is_in_the_wheel():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {path.parent.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("__init__.py")}
    assert sorted(listed) == sorted(name.replace("/", ".") for name in there)
