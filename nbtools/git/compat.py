"""The command line of nbstripout 0.9.1, to the byte: so that a team can change over.

Same flags, same bytes, messages and exit codes, its oddities included, because a
diff that nobody asked for costs trust. Two are not kept: a file is replaced whole instead of
being emptied first, and `-t` does not overwrite what it wrote before to the same file.
A notebook without cell ids gets the same ones each time, not random ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from nbtools.git import codec
from nbtools.git.clean import replace
from nbtools.git.codec import NotANotebook
from nbtools.git.strip import STRIPPED, identify, length, pop

VERSION = "0.9.1"


def main(arguments: list[str]) -> int:
    """Be nbstripout; its exit code."""
    parser = _parser()
    args = parser.parse_args(arguments)
    args.dry_run = args.dry_run or args.verify
    scope = "--system" if args._system else "--global" if args._global else ""
    if args.install or args.uninstall or args.is_installed or args.status:
        from nbtools.git import compat_install

        return compat_install.run(args, scope or "--local")
    if args.version:
        print(VERSION)  # noqa: T201 - this is the command
        return 0
    args.keys = _keys(args, scope)
    args.end = os.linesep.encode() if not args.unix_newlines else b"\n"
    changed = False
    for name in args.files:
        if not (args.force or name.endswith((".ipynb", ".zpln"))):
            continue
        code, did = _file(name, args)
        if code:
            return code
        changed |= did
    if not args.files:
        text = sys.stdin.buffer.read()
        try:
            result, changed = _clean(text, args)
        except NotJSON:
            sys.stderr.write("No valid notebook detected on stdin\n")
            return 1
        except Exception as error:  # noqa: BLE001 - nbstripout gives up on any, exit code 1
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            return 1
        _show("input from stdin", result, changed, args)
    return 1 if args.verify and changed else 0


class NotJSON(ValueError):
    """The text is no JSON at all, which nbstripout says in a sentence of its own."""


def _file(name: str, args: Namespace) -> tuple[int, bool]:
    """Clean one file: the exit code when that ends the command, and whether it was dirty."""
    try:
        with open(name, "r+b") as file:  # writable it must be, even to look
            text = file.read()
        result, changed = _clean(text, args)
        if args.textconv or args.dry_run:
            _show(name, result, changed, args)
        elif changed:
            replace(name, result.replace(b"\n", args.end))
    except NotJSON:
        sys.stderr.write(f"No valid notebook detected in '{name}'\n")
    except FileNotFoundError:
        sys.stderr.write(f"Could not strip '{name}': file not found\n")
    except Exception as error:  # noqa: BLE001 - nbstripout gives up on any, exit code 1
        sys.stderr.write(f"Could not strip '{name}'\n{type(error).__name__}: {error}\n")
    else:
        return 0, changed
    return 1, False


def _show(name: str, result: bytes, changed: bool, args: Namespace) -> None:
    out: BinaryIO = sys.stdout.buffer
    if args.dry_run:
        if changed:
            out.write(f"Dry run: would have stripped {name}".encode() + os.linesep.encode())
    else:
        out.write(result.replace(b"\n", args.end))
    out.flush()


def _clean(text: bytes, args: Namespace) -> tuple[bytes, bool]:
    """The bytes that nbstripout writes, and whether it calls them changed."""
    if args.mode == "zeppelin":
        before, nb = json.loads(text.decode()), json.loads(text.decode())
        for paragraph in nb["paragraphs"]:
            if "results" in paragraph:
                paragraph["results"] = {}
        return (json.dumps(nb, indent=2) + "\n").encode(), nb != before
    before, nb = _read(text), _read(text)
    _strip(nb, args)
    changed = nb != before
    if args.dry_run or (args.files and not args.textconv and not changed):
        return b"", changed  # nothing is written, so nothing can be unwritable
    major = nb.get("nbformat", 1)
    if major == 1:
        return (json.dumps(nb, indent=4) + "\n").encode(), changed
    for cell in (cell for found in codec.cells(nb, major) for cell in found):
        codec.split(cell, major)
    return codec.dumps(nb, ascii_only=major < 4), changed


def _read(text: bytes) -> Any:
    """The notebook as nbformat reads it; raises NotJSON."""
    text.decode()  # what is not text is another fault than what is not JSON
    try:
        nb = codec.parse(text)
    except NotANotebook as error:
        if "nested" in str(error):
            raise RecursionError(str(error)) from None
        raise NotJSON from None
    major = nb.get("nbformat", 1)
    if major == 1:
        return nb
    codec.version(nb)
    holder = nb["metadata"] if major == 4 else nb
    if major > 2:
        for key in ("orig_nbformat", "orig_nbformat_minor"):
            holder.pop(key, None)
    if major == 4:
        holder.pop("signature", None)
    for cell in (cell for found in codec.cells(nb, major) for cell in found):
        codec.join(cell, major)
    if major == 4 and (4, nb.get("nbformat_minor", 0)) >= (4, 5):
        identify(nb["cells"])
    return nb


def _strip(nb: dict[str, Any], args: Namespace) -> None:
    default = args.keep_output
    if default is None and "keep_output" in nb["metadata"]:
        default = bool(nb["metadata"]["keep_output"])
    cell_keys = []
    for key in args.keys:
        space, dot, rest = key.partition(".")
        if not dot or space not in ("cell", "metadata"):
            sys.stderr.write(f"Ignoring invalid extra key `{key}`\n")
        elif space == "cell":
            cell_keys.append(rest)
        else:
            pop(nb["metadata"], rest)
    size = _size(args.max_size)
    for number, cell in enumerate(_kept_cells(nb, args)):
        keep = _keeps(cell, default, args.strip_init_cells)
        if "outputs" in cell:
            room = size - 3 if nb.get("nbformat") == 2 else size
            cell["outputs"] = list(_outputs(cell["outputs"], keep, (size, room), args))
        for count in ("prompt_number", "execution_count"):
            if count in cell and not args.keep_count:
                cell[count] = None
        if "id" in cell and not args.keep_id:
            cell["id"] = str(number)
        for key in cell_keys:
            pop(cell, key)


def _kept_cells(nb: dict[str, Any], args: Namespace) -> Iterator[dict[str, Any]]:
    """The cells that stay, sheet by sheet; the others are taken out."""
    old = nb.get("nbformat", 4) < 4
    # Of several tags only the last drops cells: so it is there, and a switch must not show.
    dropped_tags = args.drop_tagged_cells.split()[-1:]

    def stays(cell: dict[str, Any]) -> bool:
        if args.drop_empty_cells and not any(part.strip() for part in cell.get("source", [])):
            return False
        tags = cell.get("metadata", {}).get("tags", []) if dropped_tags else ()
        return not any(tag in tags for tag in dropped_tags)

    for holder in nb["worksheets"] if old else [nb]:
        holder["cells"] = [cell for cell in holder["cells"] if stays(cell)]
        yield from holder["cells"]


def _keeps(cell: dict[str, Any], default: bool | None, strip_init: bool) -> bool | None:
    if "metadata" not in cell:
        return default
    meta = cell["metadata"]
    if "init_cell" in meta:
        return bool(meta["init_cell"]) and not strip_init
    tagged = "keep_output" in meta.get("tags", [])
    if "keep_output" in meta:
        if tagged and not meta["keep_output"]:
            raise ValueError("cell metadata says `keep_output: false`, its tags say keep_output")
        return bool(meta["keep_output"]) or tagged
    return tagged or default


def _outputs(
    outputs: list[dict[str, Any]], keep: bool | None, sizes: tuple[int, int], args: Namespace
) -> Iterator[dict[str, Any]]:
    for output in outputs:
        if not keep or args.keep_output_type:
            # Pictures of format 2 are bytes there, three characters longer when printed.
            picture = isinstance(output, dict) and ("png" in output or "jpeg" in output)
            small = length(output) <= sizes[picture]
            if not small and not any(_is_of(output, kind) for kind in args.keep_output_type):
                continue
        if not args.keep_count and "execution_count" in output:
            output["execution_count"] = None
        if not any(_is_of(output, kind) for kind in args.drop_output_type):
            yield output


def _is_of(output: dict[str, Any], wanted: str) -> bool:
    kind, colon, name = wanted.partition(":")
    if ":" in name:
        raise ValueError("too many values to unpack (expected 2)")
    return output.get("output_type") == kind and (not colon or output.get("name") == name)


def _size(text: str) -> int:
    factor = {"K": 10**3, "M": 10**6, "G": 10**9}.get(text[-1].upper())
    return int(text[:-1]) * factor if factor else int(text)


def _keys(args: Namespace, scope: str) -> list[str]:
    """Which metadata go: the usual, git's configuration, the flags."""
    keys = [*STRIPPED, *_configured("extrakeys", scope), *args.extra_keys.split()]
    kept = [*_configured("keepmetadatakeys", scope), *args.keep_metadata_keys.split()]
    return [key for key in keys if key not in kept]


def _configured(name: str, scope: str) -> list[str]:
    command = ["git", "config", *([scope] if scope else []), f"filter.nbstripout.{name}"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    except FileNotFoundError:
        return []
    return done.stdout.split() if done.returncode == 0 else []


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="nbstripout",
        description="Strip notebooks: the command line of nbstripout, done by nbtools.",
    )
    flag: dict[str, Any] = {"action": "store_true"}
    task = parser.add_mutually_exclusive_group()
    task.add_argument("--dry-run", help="Name the notebooks that would be stripped", **flag)
    task.add_argument("--install", help="Set up the git filter and attributes", **flag)
    task.add_argument("--uninstall", help="Remove the git filter and attributes", **flag)
    task.add_argument("--is-installed", help="Exit code 0 if installed here, else 1", **flag)
    task.add_argument("--status", help="Print what is installed", **flag)
    task.add_argument("--version", help="Print nbstripout's version that this stands for", **flag)
    add: Callable[..., Any] = parser.add_argument
    add("--verify", help="A dry run; exit code 1 if a file would change", **flag)
    add("--keep-count", help="Keep execution counts", **flag)
    add("--keep-output", help="Keep outputs", default=None, **flag)
    add("--drop-output-type", help="Drop outputs of these types", nargs="+", default=[])
    add("--keep-output-type", help="Keep outputs of these types", nargs="+", default=[])
    add("--keep-id", help="Keep cell ids, which are numbered otherwise", **flag)
    add("--extra-keys", default="", help="Metadata keys to strip too, in one word")
    add("--keep-metadata-keys", default="", help="Metadata keys to keep, in one word")
    add("--drop-empty-cells", help="Drop cells without source", **flag)
    add("--drop-tagged-cells", default="", help="Drop cells with this tag")
    add("--strip-init-cells", help="Strip cells marked init_cell too", **flag)
    add("--attributes", metavar="FILEPATH", help="The attributes file to write")
    location = parser.add_mutually_exclusive_group()
    location.add_argument("--global", dest="_global", help="Use git's global config", **flag)
    location.add_argument("--system", dest="_system", help="Use git's system config", **flag)
    location.add_argument("--python", dest="_python", metavar="PATH", help="Interpreter to install")
    add("--force", "-f", help="Strip files of any name", **flag)
    add("--max-size", metavar="SIZE", help="Keep outputs smaller than SIZE", default="0")
    add("--mode", "-m", default="jupyter", choices=["jupyter", "zeppelin"], help="What files hold")
    add("--textconv", "-t", help="Print the stripped files", **flag)
    add("--unix-newlines", help="Write \\n on every system", **flag)
    add("files", nargs="*", help="Files to strip")
    return parser
