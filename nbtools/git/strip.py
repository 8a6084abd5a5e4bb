"""What is stripped from a notebook: bytes in, bytes out, the same on every machine.

`strip` is pure. What it writes is what nbformat would write, so cleaning twice changes
nothing, and every editor's notebook comes to the same text.
"""

from __future__ import annotations

from nbtools.git import codec, outline
from nbtools.git.codec import NotANotebook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from nbtools.git.codec import Blob

#: From this size on a notebook is read without its outputs.
LARGE = 100_000

#: Metadata that changes by looking at a notebook, or that is output by another name.
STRIPPED = (
    "metadata.signature",
    "metadata.widgets",
    "cell.metadata.collapsed",
    "cell.metadata.ExecuteTime",
    "cell.metadata.execution",
    "cell.metadata.heading_collapsed",
    "cell.metadata.hidden",
    "cell.metadata.scrolled",
)

#: option -> (its kind, what it does): the flags of `nbtools clean`, the keys of pyproject.
FIELDS: dict[str, tuple[str, str]] = {
    "keep_output": ("flag", "Keep outputs, but those of cells that say `keep_output: false`."),
    "keep_count": ("flag", "Keep execution counts."),
    "max_size": ("size", "Keep outputs of at most SIZE characters: 500, 100K, 2M."),
    "keep_output_types": ("words", "Keep outputs of these types: error, stream:stderr."),
    "drop_output_types": ("words", "Drop outputs of these types, also where others are kept."),
    "strip_init_cells": ("flag", "Drop the outputs of cells marked `init_cell: true` too."),
    "extra_keys": ("words", "Strip these keys too: metadata.foo, cell.metadata.bar.baz."),
    "keep_metadata_keys": ("words", "Keep these keys, which are stripped by default."),
    "drop_empty_cells": ("flag", "Drop cells without a source."),
    "drop_tagged_cells": ("words", "Drop cells with one of these tags."),
}


class Options:
    """What to keep and what to drop; the fields are those of FIELDS. Never changed once made.

    Raises ValueError for what is no option, or no value of one.
    """

    __slots__ = (*FIELDS, "cell_keys", "cell_metadata", "notebook_keys")

    keep_output: bool
    keep_count: bool
    max_size: int
    keep_output_types: tuple[str, ...]
    drop_output_types: tuple[str, ...]
    strip_init_cells: bool
    extra_keys: tuple[str, ...]
    keep_metadata_keys: tuple[str, ...]
    drop_empty_cells: bool
    drop_tagged_cells: tuple[str, ...]
    cell_metadata: frozenset[str]  #: what is stripped from each cell's metadata, by name
    cell_keys: tuple[str, ...]  #: and what lies deeper, or elsewhere, without `cell.`
    notebook_keys: tuple[str, ...]  #: what is stripped from the notebook, without `metadata.`

    def __init__(self, **values: object) -> None:
        for name, (kind, _) in FIELDS.items():
            setattr(self, name, _value(name, kind, values.pop(name, None)))
        if values:
            raise ValueError(f"no option {next(iter(values))!r}; there are {', '.join(FIELDS)}")
        for key in self.extra_keys:
            if not key.startswith(("metadata.", "cell.metadata.", "cell.attachments")):
                raise ValueError(
                    f"{key!r} cannot be stripped: begin with metadata. or cell.metadata."
                )
        keys = [k for k in (*STRIPPED, *self.extra_keys) if k not in self.keep_metadata_keys]
        of_cells = [k[5:] for k in keys if k.startswith("cell.")]
        plain = [k for k in of_cells if k.startswith("metadata.") and k.count(".") == 1]
        self.cell_metadata = frozenset(k[9:] for k in plain)
        self.cell_keys = tuple(k for k in of_cells if k not in plain)
        self.notebook_keys = tuple(k[9:] for k in keys if k.startswith("metadata."))

    def values(self) -> dict[str, Any]:
        """The fields that were given, as `Options(**values)` takes them."""
        return {name: value for name in FIELDS if (value := getattr(self, name))}


def _value(name: str, kind: str, value: Any) -> Any:
    if kind == "flag":
        if value is None or isinstance(value, bool):
            return bool(value)
        raise ValueError(f"{name} = {value!r} must be true or false")
    if kind == "size":
        return size(value or 0)
    if isinstance(value, str):
        return tuple(value.split())
    if value is None or (
        isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
    ):
        return tuple(value or ())
    raise ValueError(f"{name} = {value!r} must be a list of words")


def size(text: object) -> int:
    """The number that 500, 100K, 2M or 1G means; raises ValueError for anything else."""
    number, factor = str(text).strip().upper(), 1
    if number[-1:] in ("K", "M", "G"):
        factor = {"K": 10**3, "M": 10**6, "G": 10**9}[number[-1]]
        number = number[:-1]
    if isinstance(text, bool) or not number.isdecimal():
        raise ValueError(f"{text!r} is no size; write 500, 100K or 2M")
    return int(number) * factor


DEFAULT = Options()


def strip(data: Blob, options: Options = DEFAULT) -> bytes:
    """The notebook in `data` without its outputs; raises NotANotebook, with the line.

    An empty file, or one of nothing but blanks, stays as it is.
    """
    if not data[:80].strip() and not bytes(data).strip():
        return bytes(data)
    nb = read(data, options)
    major = nb["nbformat"]
    try:
        return codec.dumps(divide(nb), ascii_only=major < 4)
    except UnicodeEncodeError as error:
        code = f"\\u{ord(error.object[error.start]):04x}"
        text = bytes(data)
        line = text.count(b"\n", 0, max(text.lower().find(code.encode()), 0)) + 1
        raise NotANotebook(f"holds half a character, {code}, which no file can", line) from None
    except RecursionError:
        raise NotANotebook("broken JSON: nested too deeply", 1) from None


def read(data: Blob, options: Options = DEFAULT) -> dict[str, Any]:
    """The stripped notebook as data, its text joined as nbformat joins it."""
    nb, spans = _load(data, options)
    major = codec.version(nb)
    meta = nb["metadata"]
    for transient in ("orig_nbformat", "orig_nbformat_minor") if major > 2 else ():
        (meta if major == 4 else nb).pop(transient, None)
    for key in options.notebook_keys:
        pop(meta, key)
    default = options.keep_output or bool(meta.get("keep_output"))
    number = 0
    for found in codec.cells(nb, major):
        for cell in found:
            try:
                keep = _keeps(cell, default, options)
                if keep and number in spans:
                    cell["outputs"] = outline.whole(data, spans[number])
                if major == 4 and not keep and not _looks_into_outputs(options):
                    _empty(cell)
                codec.join(cell, major)
                _strip_cell(cell, keep, options)
            except (KeyError, TypeError, AttributeError, UnicodeEncodeError) as error:
                raise _malformed(data, cell, number, error) from None
            except NotANotebook as error:
                raise _in_cell(data, number, str(error)) from None
            number += 1
        found[:] = [cell for cell in found if not _dropped(cell, options)]
    if major == 4 and nb.get("nbformat_minor", 0) >= 5:
        try:
            identify(nb["cells"])
        except TypeError:
            raise NotANotebook("is no valid notebook: a cell's id is no text", 1) from None
    return nb


def _load(data: Blob, options: Options) -> tuple[dict[str, Any], dict[int, tuple[int, int]]]:
    """The notebook, and where in `data` those outputs lie that were not read."""
    if len(data) > LARGE and not _looks_into_outputs(options):
        found = outline.outline(data)
        if found and found[0].get("nbformat") == 4:
            return found
    nb: dict[str, Any] = codec.parse(data)
    return nb, {}


def _empty(cell: dict[str, Any]) -> None:
    """Take the outputs from a cell of format 4, unread, but refuse what is no output."""
    if "outputs" in cell:
        if cell.get("cell_type") == "code":
            codec.check_outputs(cell["outputs"])
        cell["outputs"] = []


def divide(nb: dict[str, Any]) -> dict[str, Any]:
    """The notebook, its text divided into lines as nbformat writes it; changes `nb`."""
    major = nb["nbformat"]
    for found in codec.cells(nb, major):
        for number, cell in enumerate(found):
            try:
                codec.split(cell, major)
            except (KeyError, TypeError, AttributeError) as error:
                raise _malformed(b"", cell, number, error) from None
    return nb


def _looks_into_outputs(options: Options) -> bool:
    return bool(options.max_size or options.keep_output_types or options.drop_output_types)


def _keeps(cell: dict[str, Any], default: bool, options: Options) -> bool:
    """Whether a cell keeps its outputs: its own word first, then the notebook's."""
    meta = cell.get("metadata", {})
    tagged = "keep_output" in _tags(cell)
    if "keep_output" in meta:
        if tagged and not meta["keep_output"]:
            raise NotANotebook("says `keep_output: false` and is tagged keep_output: remove one")
        return bool(meta["keep_output"])
    if tagged:
        return True
    if "init_cell" in meta:
        return bool(meta["init_cell"]) and not options.strip_init_cells
    return default


def _tags(cell: dict[str, Any]) -> list[Any]:
    tags = cell.get("metadata", {}).get("tags")
    return tags if type(tags) is list else [tags]


def _strip_cell(cell: dict[str, Any], keep: bool, options: Options) -> None:
    if "outputs" in cell:
        cell["outputs"] = outputs = _left(cell["outputs"], keep, options)
        for output in () if options.keep_count else outputs:
            _uncount(output)
    if not options.keep_count:
        _uncount(cell)
    if meta := cell.get("metadata"):
        for key in options.cell_metadata & meta.keys():
            del meta[key]
    for key in options.cell_keys:
        pop(cell, key)


def _left(outputs: list[Any], keep: bool, options: Options) -> list[Any]:
    """The outputs that stay."""
    if not keep:
        if not _looks_into_outputs(options):
            return []
        small = options.max_size
        outputs = [
            output
            for output in outputs
            if (small and length(output) <= small) or _is_of(output, options.keep_output_types)
        ]
    return [output for output in outputs if not _is_of(output, options.drop_output_types)]


def _uncount(holder: dict[str, Any]) -> None:
    for count in ("execution_count", "prompt_number"):
        if count in holder:
            holder[count] = None


def length(value: object) -> int:
    """How many characters of text an output holds."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return sum(map(length, value))
    if isinstance(value, dict):
        return sum(map(length, value.values()))
    return len(str(value))


def _is_of(output: Mapping[str, Any], types: Iterable[str]) -> bool:
    """Whether an output is of a type: `stream`, or `stream:stderr` for a stream of that name."""
    for wanted in types:
        kind, _, name = wanted.partition(":")
        if output.get("output_type") == kind and (not name or output.get("name") == name):
            return True
    return False


def pop(holder: object, key: str) -> None:
    """Take `key`, whose dots may lead inwards, out of `holder`."""
    if not isinstance(holder, dict):
        return
    if key in holder:
        del holder[key]
        return
    head, _, rest = key.partition(".")
    if rest and head in holder:
        pop(holder[head], rest)


def _dropped(cell: dict[str, Any], options: Options) -> bool:
    if options.drop_tagged_cells and any(tag in options.drop_tagged_cells for tag in _tags(cell)):
        return True
    if not options.drop_empty_cells or cell.get("attachments"):
        return False
    source = cell.get("source", cell.get("input", ""))
    return isinstance(source, str) and not source.strip()


def identify(found: list[dict[str, Any]]) -> None:
    """Give cells without an id, or with another's, one that their text determines."""
    taken = {cell["id"] for cell in found if "id" in cell}
    if len(taken) == len(found):
        return
    import hashlib

    seen: set[Any] = set()
    for cell in found:
        if "id" not in cell or cell["id"] in seen:
            content = f"{cell['cell_type']}\n{cell.get('source', '')}".encode(errors="replace")
            digest = hashlib.sha256(content).hexdigest()[:8]
            while digest in taken:
                digest = hashlib.sha256(digest.encode()).hexdigest()[:8]
            cell["id"] = digest
            taken.add(digest)
        seen.add(cell["id"])


def _malformed(data: Blob, cell: Any, number: int, error: Exception) -> NotANotebook:
    if not isinstance(cell, dict):
        what = "is no object"
    elif isinstance(error, KeyError):
        what = f"has no {error.args[0]}"
    else:
        what = f"is malformed: {error}"
    return _in_cell(data, number, what)


def _in_cell(data: Blob, number: int, what: str) -> NotANotebook:
    return NotANotebook(f"cell {number + 1} {what}", codec.line_of_cell(bytes(data), number))
