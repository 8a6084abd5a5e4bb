"""What is stripped and what is not: by example, and against nbformat, mutated."""

import base64
import copy
import io
import json
import os
import random
import warnings

import nbformat
import pytest

from nbtools.git import outline
from nbtools.git import strip as module
from nbtools.git.codec import NotANotebook
from nbtools.git.strip import STRIPPED, Options, strip
from tests.git import corpus

KEYS = [key.split(".", 2)[-1] for key in STRIPPED if key.startswith("cell.")]


def notebook(*cells, minor=4, **metadata):
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": minor}


def code(
    source="x", outputs=({"name": "stdout", "output_type": "stream", "text": ["1\n"]},), **meta
):
    return {
        "cell_type": "code", "execution_count": 3, "metadata": meta, "source": [source],
        "outputs": list(outputs),
    }  # fmt: skip


def cleaned(nb, **options):
    return json.loads(strip(corpus.text(nb).encode(), Options(**options)))


def kept(*cells, metadata=None, **options):
    nb = cleaned(notebook(*cells, **(metadata or {})), **options)
    return [len(cell["outputs"]) for cell in nb["cells"]]


# What nbformat does, and then the simplest of strippers: the reference.
def reference(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = json.loads(data)
        if raw.get("nbformat") not in (2, 3, 4) or isinstance(raw.get("nbformat"), bool | float):
            raise ValueError("not a notebook")
        nb = nbformat.reader.reads(data.decode())
        cells = nb.cells if nb.nbformat == 4 else [c for ws in nb.worksheets for c in ws.cells]
        for cell in cells:
            if cell.get("metadata", {}).get("keep_output") is not None:
                raise NotImplementedError
            if "outputs" in cell:
                cell["outputs"] = []
            for count in ("execution_count", "prompt_number"):
                if count in cell:
                    cell[count] = None
            for key in KEYS:
                if isinstance(cell.get("metadata"), dict):
                    cell["metadata"].pop(key, None)
        nb.metadata.pop("widgets", None)
        nb.metadata.pop("signature", None)
        if (nb.nbformat, nb.get("nbformat_minor", 0)) >= (4, 5):
            module.identify(nb.cells)  # nbformat's own ids are random
        out = io.BytesIO()
        text = nbformat.versions[nb.nbformat].writes_json(nb)
        out.write((text if text.endswith("\n") else text + "\n").encode())
        return out.getvalue()


def fuzz(seed, count, size=0):
    """Mutate notebooks; strip and reference give the same bytes or both refuse."""
    rng = random.Random(seed)
    refused = 0
    for number in range(count):
        if number % 50 == 0:
            base = corpus.v4(rng, rng.choice([2, 4, 5]), rng.random() < 0.7)
            if rng.random() < 0.15:
                base = corpus.v3(rng, rng.choice([2, 3]))
            else:
                base["metadata"].pop("keep_output", None)
                for cell in base["cells"]:
                    for key in ("keep_output", "init_cell"):
                        cell["metadata"].pop(key, None)
                    cell["metadata"].pop("tags", None)
                if size:
                    image = base64.b64encode(rng.randbytes(size)).decode() + "\n"
                    output = {
                        "data": {"image/png": image},
                        "metadata": {},
                        "output_type": "display_data",
                    }
                    base["cells"].append(code(outputs=[output]) | {"id": "large"})
        data = mutated(rng, base)
        try:
            want = reference(data)
        except NotImplementedError:
            continue
        except Exception:  # noqa: BLE001 - nbformat refuses with whatever comes up
            want = None
        try:
            got = strip(data)
        except NotANotebook as error:
            assert str(error)
            got = None
        if got is None and want is not None and lenient(data):
            continue
        assert got == want, (number, data[:3000])
        refused += got is None
        if got is not None:
            assert strip(got) == got
    return refused


def lenient(data):
    """What nbformat lets pass since it never looks, and what we refuse all the same."""
    nb = json.loads(data)
    if not isinstance(nb.get("nbformat_minor", 0), int | float):
        return True
    holders = [nb, *(nb.get("worksheets") if isinstance(nb.get("worksheets"), list) else [])]
    lists = [holder.get("cells") for holder in holders if isinstance(holder, dict)]
    return any(found in ({}, "") for found in [*lists, nb.get("worksheets")])


def mutated(rng, base):
    kind = rng.random()
    if kind < 0.35:
        nb = copy.deepcopy(base)
        mutate_tree(rng, nb)
        return layout(rng, nb)
    data = bytearray(layout(rng, base))
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at = rng.randrange(len(data))
        what = rng.random()
        if what < 0.3:
            data[at] = rng.choice(b'"\\{}[],:0\n\t\r\x00\x1f aN~-\xff\xc3')
        elif what < 0.5:
            del data[at : at + rng.choice([1, 1, 2, 10, 100])]
        elif what < 0.7:
            data[at:at] = rng.choice([
                b'"', b"\\", b"\\n", b"\\ud83d", b"\xc3\xa9", b"\xff", b"NaN", b"-Infinity", b"[",
                b"]", b'"outputs": [', b'\n   "outputs": [\n    1\n   ],', b"1e400", b"{}", b"\x01",
                b"9" * 30,
                b'"outputs": [],', b"\xe2\x80\xa8", b"~",
            ])  # fmt: skip
        else:
            other = rng.randrange(len(data))
            data[at:at] = data[other : other + rng.choice([1, 5, 50, 500])]
    return bytes(data)


def layout(rng, nb):
    text = json.dumps(
        nb, indent=rng.choice([1, 1, 1, 1, 2, 4, None]), sort_keys=rng.random() < 0.8,
        ensure_ascii=rng.random() < 0.2,
    )  # fmt: skip
    if rng.random() < 0.1:
        text = text.replace("\n", "\r\n")
    return (text + rng.choice(["\n", "\n", "", " \n\n"])).encode(errors="surrogatepass")


def mutate_tree(rng, nb):
    node = nb
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.8:
            node = node[key]
            continue
        what = rng.random()
        if what < 0.3:
            del node[key]
        elif what < 0.7:
            node[key] = rng.choice([
                None, True, 0, 10**30, 1.5, float("nan"), "", "x\ny", [], ["a\n", "b"], ["a", 1],
                {}, {"a": 1}, "\ud83d", "code", [None],
            ])  # fmt: skip
        elif isinstance(node, list):
            node.insert(key, copy.deepcopy(rng.choice(node)))
        else:
            node[rng.choice(["outputs", "id", "source", "metadata", "new", "cells"])] = node[key]
        return


def test_the_same_as_nbformat_or_refused_thousands_of_times():
    refused = fuzz(1, 4000)
    assert 400 < refused < 3900


def test_large_notebooks_are_read_without_their_outputs_and_come_out_the_same():
    tried = fuzz(2, 150, size=120_000)
    assert tried


def test_the_outline_alone_agrees_with_the_full_parse(monkeypatch):
    monkeypatch.setattr(module, "LARGE", 0)
    monkeypatch.setattr(outline, "LONG", 20)
    assert fuzz(3, 3000)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_mutated_notebooks(monkeypatch):
    fuzz(11, 60_000)
    fuzz(12, 1_000, size=120_000)
    monkeypatch.setattr(module, "LARGE", 0)
    monkeypatch.setattr(outline, "LONG", 20)
    fuzz(13, 40_000)


def test_a_large_notebook_takes_the_short_way():
    nb = notebook(code(outputs=[{"output_type": "stream", "name": "x", "text": "A" * 300_000}]))
    data = corpus.text(nb).encode()
    found = outline.outline(data)
    assert found is not None
    assert found[0]["cells"][0]["outputs"][0]["text"] == "~"
    assert strip(data) == strip(corpus.text(nb, indent=2).encode())
    assert strip(bytearray(data)) == strip(data)


@pytest.mark.parametrize("indent", [1, 2, 4, None])
def test_layouts_come_to_the_same_text(indent):
    nb = notebook(code(), code("y"))
    assert strip(json.dumps(nb, indent=indent).encode()) == strip(corpus.text(nb).encode())


@pytest.mark.parametrize("large", [False, True])
def test_a_cell_that_asks_keeps_its_outputs(large):
    text = "B" * 300_000 if large else "1\n"
    out = [{"name": "stdout", "output_type": "stream", "text": [text]}]
    cells = (
        code(outputs=out),
        code(outputs=out, keep_output=True), code(outputs=out, keep_output=False),
        code(outputs=out, tags=["keep_output"]), code(outputs=out, init_cell=True),
        code(outputs=out, init_cell=False),
        code(outputs=out, init_cell=True, keep_output=False),
        code(outputs=out, init_cell=False, keep_output=True),
    )  # fmt: skip
    assert kept(*cells) == [0, 1, 0, 1, 1, 0, 0, 1]
    assert kept(*cells, keep_output=True) == [1, 1, 0, 1, 1, 0, 0, 1]
    assert kept(*cells, metadata={"keep_output": True}) == [1, 1, 0, 1, 1, 0, 0, 1]
    assert kept(*cells, strip_init_cells=True) == [0, 1, 0, 1, 0, 0, 0, 1]
    nb = cleaned(notebook(*cells))
    assert nb["cells"][1]["outputs"] == out


def test_a_cell_that_says_both_is_refused():
    with pytest.raises(NotANotebook, match="remove one") as caught:
        cleaned(notebook(code(), code(keep_output=False, tags=["keep_output"])))
    assert caught.value.line > 10


def test_options():
    error = {"ename": "E", "evalue": "", "output_type": "error", "traceback": []}
    err = {"name": "stderr", "output_type": "stream", "text": "e"}
    out = {"name": "stdout", "output_type": "stream", "text": "o" * 50}
    cell = code(outputs=[error, err, out])
    assert kept(cell) == [0]
    assert kept(cell, keep_output_types=["error"]) == [1]
    assert kept(cell, keep_output_types="error stream:stderr") == [2]
    assert kept(cell, keep_output=True, drop_output_types=["stream:stderr"]) == [2]
    assert kept(cell, max_size="20") == [2]
    assert kept(cell, max_size="1K") == [3]
    assert cleaned(notebook(code()), keep_count=True)["cells"][0]["execution_count"] == 3
    nb = notebook(code("  "), code("a", tags=["solution"]), code("b"))
    assert [c["source"] for c in cleaned(nb, drop_empty_cells=True)["cells"]] == [["a"], ["b"]]
    assert len(cleaned(nb, drop_tagged_cells=["solution", "x"])["cells"]) == 2
    nb = notebook(code(a={"b": 1, "c": 2}, collapsed=True), kernelspec={"name": "k"}, widgets={})
    found = cleaned(nb, extra_keys=["metadata.kernelspec", "cell.metadata.a.b"])
    assert (found["metadata"], found["cells"][0]["metadata"]) == ({}, {"a": {"c": 2}})
    found = cleaned(nb, keep_metadata_keys=["metadata.widgets", "cell.metadata.collapsed"])
    assert found["metadata"] == {"kernelspec": {"name": "k"}, "widgets": {}}
    assert found["cells"][0]["metadata"]["collapsed"] is True


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"keep_outputs": True}, "no option 'keep_outputs'"),
        ({"keep_output": "yes"}, "must be true or false"),
        ({"max_size": "big"}, "write 500, 100K or 2M"),
        ({"extra_keys": ["cell.source"]}, "cannot be stripped"),
        ({"extra_keys": 5}, "must be a list of words"),
    ],
)
def test_what_is_no_option_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Options(**options)


def test_ids_are_kept_and_those_that_miss_are_told_from_the_text():
    cells = [code(str(n)) for n in range(3)]
    cells[1]["id"] = cells[2]["id"] = "same"
    nb = cleaned(notebook(*cells, minor=5))
    ids = [cell["id"] for cell in nb["cells"]]
    assert ids[1] == "same"
    assert len({*ids}) == 3
    assert cleaned(notebook(code("new"), *cells, minor=5))["cells"][1]["id"] == ids[0]
    assert cleaned(nb) == nb
    nbformat.validate(nbformat.from_dict(nb))
    assert "id" not in cleaned(notebook(code()))["cells"][0]


@pytest.mark.parametrize("data", [b"", b"\n", b" \t\r\n" * 50])
def test_an_empty_file_passes(data):
    assert strip(data) == data


def test_numbers_stay_what_they_are():
    nb = notebook(code(), a=10**30, b=1.5, c=-0.0, d=float("inf"), e=2**63)
    assert cleaned(nb)["metadata"] == nb["metadata"]
    assert b"1000000000000000000000000000000" in strip(corpus.text(nb).encode())


GOOD = corpus.text(notebook(code())).encode()


@pytest.mark.parametrize(
    ("data", "sentence", "line"),
    [
        (b"\xef\xbb\xbf" + GOOD, "byte order mark", 1),
        (GOOD.replace(b'"x"', b'"\\ud83d"'), "half a character", 17),
        (GOOD.replace(b'"x"', b'\n<<<<<<< HEAD\n"x"'), "conflict markers", 18),
        (GOOD[:200], "broken JSON", 14),
        (GOOD.replace(b'"x"', b'"\x01"'), "broken JSON", 17),
        (GOOD.replace(b'"x"', b'"\xff"'), "not UTF-8", 17),
        (b"version https://git-lfs.github.com/spec/v1\noid 1\n", "Git LFS pointer", 1),
        (b"[" * 3000 + b"]" * 3000, "nested too deeply", 1),
        (GOOD.replace(b"3,", b"9" * 5000 + b","), "unreadable JSON", 1),
        (b"{}", "no nbformat", 1),
        (b"[]", "not a notebook", 1),
        (b'{"nbformat": 5}', "format 5", 1),
        (b'{"nbformat": 4, "metadata": {}}', "no list of cells", 1),
        (b'{"nbformat": 4, "cells": []}', "no metadata", 1),
        (GOOD.replace(b'"metadata": {},', b"", 1), "cell 1 has no metadata", 3),
        (GOOD.replace(b'"cell_type"', b'"cell_typo"'), "cell 1 has no cell_type", 3),
        (GOOD + b"x", "broken JSON", 25),
    ],
)
def test_what_is_no_notebook_is_refused_with_its_line(data, sentence, line):
    with pytest.raises(NotANotebook, match=sentence) as caught:
        strip(data)
    assert caught.value.line == line, caught.value
    assert caught.value.at("a.ipynb").startswith(f"a.ipynb:{line}")


def test_control_characters_in_a_dropped_output_are_refused_as_nbformat_does():
    text = "A" * 200_000 + "\x02" + "A" * 200_000
    data = corpus.text(
        notebook(code(outputs=[{"output_type": "stream", "name": "x", "text": "Z"}]))
    )
    with pytest.raises(NotANotebook, match="broken JSON"):
        strip(data.replace("Z", text).encode())
    with pytest.raises(NotANotebook, match="not UTF-8"):
        strip(data.replace("Z", text).encode().replace(b"\x02", b"\xff"))


def test_the_fast_modules_import_the_standard_library_alone():
    import subprocess
    import sys

    code_ = (
        "import sys; sys.path.append(sys.argv[1]); package = type(sys)('nbtools');"
        "package.__path__ = [sys.argv[1] + '/nbtools']; sys.modules['nbtools'] = package;"
        "import nbtools.git.filter; print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code_, os.getcwd()], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    loaded = set(done.stdout.split())
    assert not loaded & {"json", "re", "typing", "dataclasses", "subprocess", "pathlib", "nbformat"}
