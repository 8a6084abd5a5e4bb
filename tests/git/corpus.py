"""Notebooks of every kind, for tests that clean them."""

import base64
import copy
import json
import random


def output(rng):
    kind = rng.choice(["stream", "display_data", "execute_result", "error", "image"])
    if kind == "stream":
        return {
            "name": rng.choice(["stdout", "stderr"]), "output_type": "stream",
            "text": rng.choice([["a\n", "b"], "one\ntwo", [], "", ["x\x0by\u2028", "z"]]),
        }  # fmt: skip
    if kind == "error":
        return {
            "ename": "E",
            "evalue": "é",
            "output_type": "error",
            "traceback": ["\x1b[31mx", "y"],
        }
    data = {"text/plain": ["<Figure>"], "application/json": {"a": [1, 10**30, 1.5, None, True]}}
    if kind == "image":
        size = rng.choice([30, 3000, 60_000])
        data["image/png"] = base64.b64encode(rng.randbytes(size)).decode() + "\n"
    if rng.random() < 0.3:
        data["application/vnd.x+json"] = ["not", "joined"]
        data["image/svg+xml"] = "<svg>\n</svg>"
    made = {"data": data, "metadata": {}, "output_type": "display_data"}
    if kind == "execute_result":
        made |= {"output_type": "execute_result", "execution_count": rng.randint(1, 9)}
    return made


def cell(rng, ids):
    kind = rng.choice(["code", "code", "markdown", "raw"])
    source = rng.choice([["import os\n", "x = 1"], "a = 'é'\nb", "", [], ["  \n"], "x\r\ny\u2028z"])
    made = {"cell_type": kind, "metadata": {}, "source": source}
    if ids:
        made["id"] = f"{rng.getrandbits(32):08x}"
    meta = made["metadata"]
    for name, value in (
        ("collapsed", True), ("scrolled", False), ("tags", ["drop"]), ("tags", ["keep_output"]),
        ("keep_output", True), ("keep_output", False), ("init_cell", True), ("init_cell", False),
        ("trusted", True), ("ExecuteTime", {"end": "1"}), ("execution", {"iopub.status.busy": "x"}),
    ):  # fmt: skip
        if rng.random() < 0.08:
            meta[name] = value
    if kind == "code":
        made["execution_count"] = rng.choice([None, 1, 7])
        made["outputs"] = [output(rng) for _ in range(rng.randint(0, 3))]
    if kind == "markdown" and rng.random() < 0.2:
        made["attachments"] = {"a.png": {"image/png": "AAAA", "text/html": "x\ny"}}
    return made


def v4(rng, minor=5, ids=True, cells=6):
    meta = {"kernelspec": {"name": "python3"}, "language_info": {"name": "python", "v": "3"}}
    if rng.random() < 0.5:
        meta["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {"a": {}}}}
    if rng.random() < 0.2:
        meta["signature"] = "sha256:0"
    if rng.random() < 0.1:
        meta["keep_output"] = rng.random() < 0.5
    found = [cell(rng, ids) for _ in range(cells)]
    return {"cells": found, "metadata": meta, "nbformat": 4, "nbformat_minor": minor}


def v3(rng, major=3):
    def old_output():
        return rng.choice([
            {"output_type": "stream", "stream": "stdout", "text": ["a\n", "b"]},
            {"output_type": "stream", "text": ["a", "b"]},
            {"output_type": "pyout", "prompt_number": 3, "text": "x\ny", "html": ["<b>\n", "x"]},
            {"output_type": "display_data", "png": "QUJD\n", "metadata": {}},
            {"output_type": "pyerr", "ename": "e", "evalue": "é", "traceback": ["t"]},
        ])  # fmt: skip

    cells = []
    for _ in range(6):
        if rng.random() < 0.6:
            cells.append({
                "cell_type": "code", "collapsed": False, "language": "python",
                "input": rng.choice([["a\n", "b"], ["a", "b"], "x", []]),
                "metadata": rng.choice([{}, {"keep_output": True}, {"tags": ["drop"]}]),
                "outputs": [copy.deepcopy(old_output()) for _ in range(rng.randint(0, 2))],
                "prompt_number": 4,
            })  # fmt: skip
        else:
            kind = rng.choice(["markdown", "heading", "raw"])
            source = rng.choice([["# é\n", "x"], "y", ""])
            cells.append({"cell_type": kind, "metadata": {}, "source": source, "level": 1})
    nb = {"metadata": {"name": "x"}, "nbformat": major, "worksheets": [{"cells": cells}]}
    if major == 3:
        nb |= {"nbformat_minor": 0, "orig_nbformat": 2}
    return nb


def text(nb, indent=1, **kwargs):
    return json.dumps(nb, indent=indent, sort_keys=True, ensure_ascii=False, **kwargs) + "\n"


def write(folder):
    """One file of each kind; yields their paths."""
    rng = random.Random(7)
    zeppelin = {"name": "z", "paragraphs": [
        {"text": "é", "results": {"code": "SUCCESS", "msg": []}}, {"text": "x"}, {"results": {}},
    ]}  # fmt: skip
    kinds = {f"v4-{n}.ipynb": text(v4(rng)) for n in range(8)}
    kinds |= {f"v4-old-{n}.ipynb": text(v4(rng, 2, ids=False)) for n in range(4)}
    kinds |= {f"v3-{n}.ipynb": text(v3(rng)) for n in range(6)}
    kinds |= {f"v2-{n}.ipynb": text(v3(rng, 2)) for n in range(6)}
    duplicate = v4(rng)
    kinds |= {
        "v4.ipynb": text(v4(rng)),
        "v3.ipynb": text(v3(rng)),
        "no-ids.ipynb": text(v4(rng, 5, ids=False)),
        "large.ipynb": text(v4(rng, cells=40)),
        "indented.ipynb": text(v4(rng), indent=4),
        "minified.ipynb": json.dumps(v4(rng)),
        "crlf.ipynb": text(v4(rng)).replace("\n", "\r\n"),
        "clean.ipynb": text({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}),
        "future.ipynb": text(v4(rng) | {"nbformat_minor": 9}),
        "unknown.ipynb": text(v4(rng) | {"nbformat": 5}),
        "v1.ipynb": json.dumps({"metadata": {}, "cells": [{"cell_type": "code", "outputs": [1]}]}),
        "nan.ipynb": text(duplicate).replace("1.5", "NaN"),
        "surrogate.ipynb": text(v4(rng)).replace("import os", "\\ud83d"),
        "broken.ipynb": "{",
        "conflict.ipynb": text(v4(rng)).replace('"cells"', '\n<<<<<<< a\n"cells"'),
        "bom.ipynb": "\ufeff" + text(v4(rng)),
        "empty.ipynb": "",
        "list.ipynb": "[]",
        "object.ipynb": "{}",
        "no-cells.ipynb": '{"nbformat": 4, "metadata": {}, "nbformat_minor": 4}',
        "no-metadata.ipynb": '{"nbformat": 4, "cells": [], "nbformat_minor": 4}',
        "note.zpln": json.dumps(zeppelin),
        "note-clean.zpln": json.dumps(zeppelin).replace('"msg": []', "").replace("SUCCESS", "x"),
        "other.txt": text(v4(rng)),
    }
    for name, content in kinds.items():
        (folder / name).write_bytes(content.encode(errors="surrogatepass"))
        yield folder / name
    (folder / "latin.ipynb").write_bytes(
        text(v4(rng)).replace("import", "\xe9").encode("latin1", "replace")
    )
    yield folder / "latin.ipynb"
