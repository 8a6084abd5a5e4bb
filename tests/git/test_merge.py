import json

import pytest

from nbtools.git.document import BadNotebook, Document
from nbtools.git.markers import Labels
from nbtools.git.merge import merge
from tests.git.scratch import cell, cells, marker, notebook, read, sources

BASE = notebook(*cells(a="1\n2\n3", b="x", c="y", d="z"))


def markers(data):
    return [marker(c) for c in read(data)["cells"] if marker(c)]


def test_lines_of_one_cell_and_inserted_cells():
    ours = notebook(*cells(a="1!\n2\n3", b="x", c="y", d="z"))
    theirs = notebook(*cells(a="1\n2\n3!", b="x", c="y", n="new", d="z"))
    merged = merge(BASE, ours, theirs)
    assert sources(merged.data) == ["1!\n2\n3!", "x", "y", "new", "z"]
    assert not merged.conflicts


def test_a_side_that_changed_nothing_leaves_the_other_byte_for_byte():
    ours = BASE.replace(b'"1\\n"', b'"one\\n"').replace(b"\n ", b"\n  ")
    assert merge(BASE, ours, BASE).data == ours
    assert merge(BASE, BASE, ours).data == ours
    assert merge(BASE, ours, BASE.replace(b"\n ", b"\n\t")).data == ours


def test_a_conflict_stands_twice_between_markers():
    ours = notebook(*cells(a="1!\n2\n3", b="x", c="y", d="z"))
    theirs = notebook(*cells(a="1?\n2\n3+", b="x", c="y", d="z"))
    merged = merge(BASE, ours, theirs, labels=Labels("HEAD", "topic", 9))
    first, mine, _, yours, last, *_ = read(merged.data)["cells"]
    assert "".join(mine["source"]) == "1!\n2\n3+"  # what does not conflict is in both
    assert "".join(yours["source"]) == "1?\n2\n3+"
    assert mine["id"] == "a"
    assert "".join(first["source"]).startswith("`<<<<<<<<< HEAD` both sides changed line 1 of")
    assert "".join(last["source"]) == "`>>>>>>>>> topic`"
    assert merged.conflicts == ["code cell a `1!`: both sides changed line 1 of this cell"]
    assert markers(merged.data) == ["ours", "between", "theirs"]


def test_inserts_at_the_same_place_are_both_kept():
    ours = notebook(*cells(a="1\n2\n3", m="mine", b="x", c="y", d="z"))
    theirs = notebook(*cells(a="1\n2\n3", n="new", o="other", b="x", c="y", d="z"))
    merged = merge(BASE, ours, theirs)
    assert sources(merged.data) == ["1\n2\n3", "mine", "new", "other", "x", "y", "z"]
    assert not merged.conflicts
    assert merged.notes == ["both sides inserted at code cell m `mine`: ours comes first"]


def test_the_same_insert_on_both_sides_is_one_cell():
    ours = notebook(*cells(a="1\n2\n3", b="x", m="import os", c="y", d="z"))
    theirs = notebook(*cells(a="1\n2\n3", b="x", n="import os", o="more", c="y", d="z"))
    assert sources(merge(BASE, ours, theirs).data) == [
        "1\n2\n3",
        "x",
        "import os",
        "more",
        "y",
        "z",
    ]


def test_a_moved_cell_is_edited_where_it_went():
    ours = notebook(*cells(d="z", a="1\n2\n3", b="x", c="y"))
    theirs = notebook(*cells(a="1\n2\n3", b="x", c="y", d="zz", n="after d"))
    assert sources(merge(BASE, ours, theirs).data) == ["zz", "after d", "1\n2\n3", "x", "y"]
    assert sources(merge(BASE, theirs, ours).data) == ["zz", "after d", "1\n2\n3", "x", "y"]


def test_both_sides_move_cells():
    ours = notebook(*cells(b="x", a="1\n2\n3", c="y", d="z"))
    theirs = notebook(*cells(a="1\n2\n3", b="x", d="z", c="y"))
    assert sources(merge(BASE, ours, theirs).data) == ["x", "1\n2\n3", "z", "y"]


def test_a_cell_moved_apart_is_where_ours_is_and_that_is_said():
    base = notebook(*cells(a="a", b="b", c="c", d="d", e="e"))
    ours = notebook(*cells(e="e", a="a", b="b", c="c", d="d"))
    theirs = notebook(*cells(a="a", b="b", e="e", c="c", d="d"))
    merged = merge(base, ours, theirs)
    assert sources(merged.data) == ["e", "a", "b", "c", "d"]
    assert merged.notes == ["both sides moved code cell e `e`: it is where ours is"]


def test_deleted_and_unchanged_is_gone():
    ours = notebook(*cells(a="1\n2\n3", c="y", d="z"))
    theirs = notebook(*cells(a="1\n2\n3", b="x", c="y!", d="z"))
    assert sources(merge(BASE, ours, theirs).data) == ["1\n2\n3", "y!", "z"]


def test_deleted_and_changed_conflicts():
    ours = notebook(*cells(b="x", c="y", d="z"))
    theirs = notebook(*cells(a="1\n2\n3\n4", b="x", c="y", d="z"))
    merged = merge(BASE, ours, theirs)
    found = sources(merged.data)
    assert found[0].startswith("`<<<<<<< ours` theirs changed this cell, which ours deleted;")
    assert found[2] == "1\n2\n3\n4"
    assert len(merged.conflicts) == 1
    assert "1\n2\n3\n4" in sources(merge(BASE, theirs, ours).data)


def test_counts_are_null_and_outputs_go_only_where_the_source_changed():
    result = {
        "output_type": "execute_result", "metadata": {}, "execution_count": 3,
        "data": {"text/plain": "1"},
    }  # fmt: skip
    kept = cell("one", "a", outputs=["1"])
    kept["outputs"].append(result)
    base = notebook(kept, cell("p\nq\nr", "b", outputs=["old"]), cell("k", "k", outputs=["k"]))
    ours = notebook(kept, cell("P\nq\nr", "b", outputs=["mine"]), cell("k", "k", outputs=["k"]))
    theirs = notebook(kept, cell("p\nq\nR", "b", outputs=["yours"]), cell("k!", "k", outputs=["!"]))
    first, second, third = read(merge(base, ours, theirs).data)["cells"]
    assert first["outputs"] == [kept["outputs"][0], {**result, "execution_count": None}]
    assert (second["source"], second["outputs"]) == (["P\n", "q\n", "R"], [])
    assert third["outputs"][0]["text"] == ["!"]
    assert {c["execution_count"] for c in (first, second, third)} == {None}


def test_a_cell_that_asks_keeps_its_outputs():
    parts = [
        notebook(cell(s, "a", outputs=[s], keep_output=True))
        for s in ("p\nq\nr", "P\nq\nr", "p\nq\nR")
    ]
    assert read(merge(*parts).data)["cells"][0]["outputs"][0]["text"] == ["P\n", "q\n", "r"]


def test_outputs_rerun_by_one_side_are_taken():
    base, ours = (
        notebook(cell("a", "a", outputs=["1"])),
        notebook(cell("a", "a", x=1, outputs=["1"])),
    )
    theirs = notebook(cell("a", "a", outputs=["2"]))
    assert read(merge(base, ours, theirs).data)["cells"][0]["outputs"][0]["text"] == ["2"]


def kernel(name):
    return {"name": name, "display_name": name.upper()}


def test_metadata_is_merged_key_by_key():
    base = notebook(cell("a", "a", tags=["t", "u"], n={"x": 1}), kernelspec=kernel("p"), k=1)
    ours = notebook(cell("a", "a", tags=["t"], n={"x": 1, "y": 2}), kernelspec=kernel("q"), k=1)
    theirs = notebook(cell("a", "a", tags=["t", "u", "v"], n={}), kernelspec=kernel("r"), k=2)
    merged = merge(base, ours, theirs)
    found = read(merged.data)
    assert found["cells"][0]["metadata"] == {"tags": ["t", "v"], "n": {"y": 2}}
    assert found["metadata"] == {"kernelspec": kernel("q"), "k": 2}
    assert not merged.conflicts


def test_metadata_that_clashes_is_shown_of_both_sides():
    base, ours, theirs = (notebook(cell("a", "a", k=k), size=k) for k in (1, 2, 3))
    merged = merge(base, ours, theirs)
    top, above, last = read(merged.data)["cells"]
    assert last["metadata"] == {"k": 2}
    for part, key in ((top, "size"), (above, "k")):
        assert f'{key}": 2' in "".join(part["source"])
        assert f'{key}": 3' in "".join(part["source"])
    assert len(merged.conflicts) == 2


def picture(data):
    return {"image/png": data}


def test_pictures_of_one_name_are_both_kept():
    def side(text, **files):
        return notebook({**cell(text, "a", "markdown"), "attachments": files})

    base = side("t\n\nu")
    ours = side("![](attachment:image.png)\nt\n\nu", **{"image.png": picture("AA")})
    theirs = side("t\n\nu\n![](attachment:image.png)", **{"image.png": picture("BB")})
    merged = merge(base, ours, theirs)
    found = read(merged.data)["cells"][0]
    assert found["attachments"] == {"image.png": picture("AA"), "image-theirs.png": picture("BB")}
    assert "".join(found["source"]).split("\n")[-1] == "![](attachment:image-theirs.png)"
    assert not merged.conflicts
    both = merge(side("t", **{"i.png": picture("0")}), side("t", **{"i.png": picture("1")}),
                 side("t", **{"i.png": picture("2")}))  # fmt: skip
    assert "replaced the attachment i.png" in both.conflicts[0]


def test_type_changes():
    md = [cell("t", "a", "markdown"), cell("t!", "a", "markdown"), cell("t", "a", "raw")]
    merged = read(merge(*map(notebook, md)).data)["cells"][0]
    assert (merged["cell_type"], merged["source"]) == ("raw", ["t!"])
    code = merge(notebook(md[0]), notebook(cell("t", "a", outputs=["o"])), notebook(md[2]))
    assert "type" in code.conflicts[0]
    assert {"code", "raw"} <= {c["cell_type"] for c in read(code.data)["cells"]}


def test_without_ids_cells_are_found_by_source_then_likeness():
    def side(*texts):
        return notebook(*map(cell, texts), minor=4)

    imports = "import os\nimport sys"
    base = side(imports, "df = load('a')\n\ndf.head()", "plot(df)")
    ours = side("plot(df)", imports, "df = load('b')\n\ndf.head()")
    theirs = side(imports, "df = load('a')\n\ndf.head(20)", "more()", "plot(df)")
    merged = merge(base, ours, theirs)
    assert sources(merged.data) == [
        "plot(df)", imports, "df = load('b')\n\ndf.head(20)", "more()",
    ]  # fmt: skip
    assert not merged.conflicts
    assert all("id" not in c for c in read(merged.data)["cells"])
    conflict = merge(base, ours, side(imports, "df = load('c')\n\ndf.head()", "plot(df)"))
    assert len(conflict.conflicts) == 1
    assert all("id" not in c for c in read(conflict.data)["cells"])


def test_ids_that_only_count_tell_nothing():
    def side(*texts):
        return notebook(*(cell(text, str(i)) for i, text in enumerate(texts)))

    merged = merge(side("a", "b", "c"), side("new", "a", "b", "c"), side("a", "b!", "c"))
    assert not merged.conflicts
    assert sources(merged.data) == ["new", "a", "b!", "c"]
    assert [c["id"] for c in read(merged.data)["cells"]] == ["0", "1", "2", "3"]


def test_formats_4_4_and_4_5_meet_in_4_5():
    base = notebook(cell("a"), cell("b"), minor=4)
    found = read(merge(base, notebook(cell("a!"), cell("b"), minor=4),
                       notebook(*cells(i="a", j="b", k="c"))).data)  # fmt: skip
    assert found["nbformat_minor"] == 5
    assert all(c["id"] for c in found["cells"])


def test_both_made_the_notebook():
    ours = notebook(*cells(a="import os", b="x = 1\ny = 2", m="mine"))
    theirs = notebook(*cells(a="import os", b="x = 1\ny = 3", n="other"))
    merged = merge(b"", ours, theirs)
    found = sources(merged.data)
    assert found[0] == "import os"
    assert {"x = 1\ny = 2", "x = 1\ny = 3", "mine", "other"} <= set(found)
    assert len(merged.conflicts) == 2
    assert not merge(b"", ours, ours).conflicts


def test_an_unresolved_conflict_survives_the_next_merge():
    ours = notebook(*cells(a="1!\n2\n3", b="x", c="y", d="z"))
    theirs = notebook(*cells(a="1?\n2\n3", b="x", c="y", d="z"))
    conflicted = merge(BASE, ours, theirs).data
    later = merge(BASE, conflicted, notebook(*cells(a="1\n2\n3", b="x", c="y", d="z!")))
    assert markers(later.data) == ["ours", "between", "theirs"]
    assert sources(later.data)[-1] == "z!"


@pytest.mark.parametrize(
    ("data", "line", "what"),
    [
        (b"\xff\x00", 1, "not UTF-8"),
        (b'{\n "cells": [],\n "metadata": {', 3, "broken JSON"),
        (b'{\n<<<<<<< HEAD\n"cells": []}', 2, "conflict markers"),
        (b'{"cells": [], "metadata": {}}', 1, "nbformat"),
        (b'{"worksheets": [], "metadata": {}, "nbformat": 3, "nbformat_minor": 0}', 1, "format 3"),
        (BASE.replace(b'"x"', b"7"), 15, "cell 2 has a source that is not text"),
        (BASE.replace(b'"cell_type": "code"', b'"cell_type": "sql"', 1), 3, "type 'sql'"),
        (BASE.replace(b'"x"', b'"\\ud800"'), 22, "half a character"),
        (b"\xef\xbb\xbf" + BASE, 1, "byte order mark"),
        (b"[" * 100_000, 1, "nested"),
        (b"", 1, "Expecting value"),
    ],
)
def test_what_is_not_a_notebook_is_named_with_its_line(data, line, what):
    other = notebook(*cells(a="other"))
    with pytest.raises(BadNotebook, match=what) as caught:
        merge(BASE, other, data, "n.ipynb")
    assert str(caught.value).startswith(f"n.ipynb (theirs):{line}:")
    with pytest.raises(BadNotebook, match=r"^n.ipynb \(ours\)"):
        merge(BASE, data, other, "n.ipynb")


def test_numbers_and_layout_stay():
    base = notebook(*cells(a="a", b="b", c="c"), big=10**30, nan=float("nan"))
    text = base.decode().replace("\n", "\r\n").replace("  ", "    ")
    ours = json.dumps(json.loads(text.replace('"a"\r\n', '"ä"\r\n')), indent=2).encode()
    merged = merge(base, ours, base.replace(b'"c"\n', b'"C"\n')).data
    assert b'\n  "cells"' in merged
    assert not merged.endswith(b"\n")
    assert b"\\u00e4" in merged
    assert b"1000000000000000000000000000000" in merged
    assert b"NaN" in merged


def test_cells_that_both_replaced_conflict():
    ours = notebook(*cells(a="1\n2\n3", m="mine", n="more", d="z"))
    theirs = notebook(*cells(a="1\n2\n3", o="other", d="z"))
    merged = merge(BASE, ours, theirs)
    assert merged.conflicts == [
        "code cell m `mine`: both sides replaced the cells that were here, by others"
    ]
    found = sources(merged.data)
    assert found[1].startswith("`<<<<<<< ours` both sides replaced")
    assert [found[0], *found[2:]] == [
        "1\n2\n3", "mine", "more", "`=======`", "other", "`>>>>>>> theirs`", "z",
    ]  # fmt: skip


def test_what_both_inserted_stands_between_what_each_inserted():
    ours = notebook(*cells(a="1\n2\n3", p="p", s="same", q="q", b="x", c="y", d="z"))
    theirs = notebook(*cells(a="1\n2\n3", r="r", s="same", t="t", b="x", c="y", d="z"))
    merged = merge(BASE, ours, theirs)
    assert sources(merged.data)[1:6] == ["p", "r", "same", "q", "t"]
    assert len(merged.notes) == 2


def test_moved_by_both_and_deleted_by_one():
    base = notebook(*cells(a="a", b="b", c="c", d="d"))
    ours = notebook(*cells(d="d", c="c", b="b"))
    theirs = notebook(*cells(b="b", d="d", a="a!", c="c"))
    merged = merge(base, ours, theirs)
    assert len(merged.conflicts) == 1
    assert {"a!", "b", "c", "d"} <= set(sources(merged.data))


@pytest.mark.parametrize("indent", [None, 0, 1, 4, "\t"])
@pytest.mark.parametrize("ascii", [True, False])
def test_layout_is_that_of_json(indent, ascii):
    values = {
        "é": ["ä\n", "\u2028"],
        "n": [1, 2.5, -0.0, 10**30, None, True, [], {}, [[]]],
        "s": "",
    }
    data = {"cells": [cell("x\ny", "a")], "metadata": values, "nbformat": 4, "nbformat_minor": 5}
    text = json.dumps(data, indent=indent, ensure_ascii=ascii)
    for newline in ("\n", "\r\n"):
        held = text.replace("\n", newline).encode() + b"\n"
        assert Document.parse(held, "n").render() == held
