"""Keys and passwords in notebooks: `nbtools git secrets` and the hook `nbtools-secrets`.

Scanners misread a notebook's JSON: quotes are escaped, lines are split, pictures look like
keys. So each notebook is decoded first: sources and text outputs, never images. The patterns
are detect-secrets' (an optional dependency); nothing it finds is sent anywhere.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from nbtools.errors import MissingDependency, RequestError
from nbtools.git import codec
from nbtools.git.baseline import Baseline
from nbtools.git.document import BadNotebook, Cell, Document, text_of
from nbtools.git.textconv import plain

#: Public addresses are not secrets, and outputs are full of them.
SKIPPED = frozenset({"IPPublicDetector"})
_EMBEDDED = re.compile(r"data:[\w/+.-]+;base64,[\w+/=\s]+")


@dataclass(frozen=True, slots=True)
class Text:
    """One line of a notebook as people read it, and where it stands."""

    cell: int  #: from 1; 0: the notebook's metadata
    part: str  #: source, output or metadata
    line: int  #: from 1, in its part
    text: str


@dataclass(frozen=True, slots=True)
class Secret:
    """Something that looks like a secret."""

    notebook: str
    line: int  #: of the file, where its cell begins
    cell: int
    cell_id: str
    part: str
    part_line: int
    kind: str  #: detect-secrets' name for it
    value: str

    @property
    def masked(self) -> str:
        """Enough of it to find it by."""
        return self.value[:4] + "…" if len(self.value) > 11 else "…"

    def __str__(self) -> str:
        place = f"cell {self.cell}, " if self.cell else ""
        return (
            f"{self.notebook}:{self.line}: {self.kind} in {place}{self.part} line "
            f"{self.part_line}: {self.masked}"
        )


def texts(document: Document) -> Iterator[Text]:
    """Every line of source and text output, decoded; and papermill's parameters."""
    papermill = document.data.get("metadata", {}).get("papermill")
    parameters = papermill.get("parameters") if isinstance(papermill, dict) else None
    if isinstance(parameters, dict):
        for number, (key, value) in enumerate(parameters.items(), 1):
            yield Text(0, "metadata", number, f"{key} = {value!r}")
    for number, cell in enumerate(document.cells, 1):
        for at, line in enumerate(cell.source.split("\n"), 1):
            yield Text(number, "source", at, line)
        for at, line in enumerate(_outputs(cell), 1):
            yield Text(number, "output", at, line)


def scan(data: bytes, name: str) -> list[Secret]:
    """What looks like a secret in one notebook; raises BadNotebook."""
    if not data.strip():
        return []
    document = Document.parse(data, name)
    lines = list(texts(document))
    found: dict[tuple[int, str, int, str, str], Secret] = {}
    # In source, a value without quotes is a name and no secret; in what was printed it is one.
    for suffix, parts in ((".py", ("source", "metadata")), (".properties", ("output",))):
        chosen = [line for line in lines if line.part in parts]
        for number, kind, value in _detect([line.text for line in chosen], suffix):
            line = chosen[number - 1]
            cell = document.cells[line.cell - 1].id if line.cell else ""
            place = codec.line_of_cell(data, line.cell - 1) if line.cell else 1
            key = (line.cell, line.part, line.line, kind, value)
            found[key] = Secret(name, place, line.cell, cell, line.part, line.line, kind, value)
    return [found[key] for key in sorted(found)]


def _outputs(cell: Cell) -> Iterator[str]:
    for output in cell.outputs:
        if not isinstance(output, dict):
            continue
        held = [output.get("text"), output.get("evalue"), output.get("traceback")]
        data = output.get("data")
        if isinstance(data, dict):
            held += [value for mime, value in data.items() if _is_text(mime)]
        for value in held:
            yield from _lines(value)


def _is_text(mime: str) -> bool:
    return mime.startswith("text/") or mime in ("application/json", "application/javascript")


def _lines(value: object) -> Iterator[str]:
    if value is None:
        return
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        value = text_of(value)
    if isinstance(value, dict | list):
        import json

        value = json.dumps(value, indent=0, ensure_ascii=False)
    yield from _EMBEDDED.sub("", plain(str(value))).split("\n")


def _detect(lines: Sequence[str], suffix: str) -> Iterator[tuple[int, str, str]]:
    """detect-secrets' findings: line from 1, kind, value."""
    try:
        from detect_secrets.core.scan import scan_file
        from detect_secrets.settings import default_settings
    except ImportError:
        raise MissingDependency(
            'the patterns are detect-secrets\'; pip install "nbtools-workflow[secrets]", or in '
            "a hook, additional_dependencies: [detect-secrets]"
        ) from None
    if not any(line.strip() for line in lines):
        return
    with TemporaryDirectory(prefix="nbtools-") as folder, default_settings() as settings:
        settings.disable_plugins(*SKIPPED)
        path = Path(folder, f"notebook{suffix}")  # it reads files, and goes by their names
        text = "\n".join(re.sub(r"[\r\v\f\x1c-\x1e\x85\u2028\u2029]", " ", line) for line in lines)
        path.write_text(text, encoding="utf-8")
        for secret in scan_file(str(path)):
            if secret.secret_value:
                yield secret.line_number, secret.type, secret.secret_value


def unknown(found: Iterable[Secret], baseline: Baseline) -> list[Secret]:
    """What the baseline does not have."""
    return [s for s in found if not baseline.has(s.notebook, s.cell_id, s.kind, s.value)]


def main(arguments: Sequence[str]) -> int:
    """The hook: `[--baseline FILE] FILES`; exit code 1 when a notebook holds a secret."""
    names = list(arguments)
    path = Path(Baseline.NAME)
    for word in arguments:
        if word.startswith("--baseline"):
            at = names.index(word)
            _, given, value = names.pop(at).partition("=")
            path = Path(value if given else names.pop(at) if at < len(names) else "")
    code = 0
    try:
        baseline = Baseline.read(path)
        for name in names:
            try:
                found = unknown(scan(Path(name).read_bytes(), name), baseline)
            except (BadNotebook, OSError) as error:
                sys.stderr.write(f"nbtools: {error}\n")
                code = 2
                continue
            for secret in found:
                sys.stderr.write(f"{secret}\n")
            code = code or int(bool(found))
    except RequestError as error:
        sys.stderr.write(f"nbtools: {error}\n")
        return 2
    return code
