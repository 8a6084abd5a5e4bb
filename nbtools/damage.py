"""What is wrong with the store's file, and what to do, in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Final

#: what SQLite says of a file that is damaged, or that another program made.
DAMAGE: Final = (
    "malformed",
    "not a database",
    "unsupported file format",
    "no such",
    "UTF-8",
    "corrupt",
)
MEND: Final = "`nbtools store repair` saves what can be read of it"


def reason(folder: Path | None, error: Exception) -> str:
    """What went wrong with the store, and what to do, in one sentence."""
    text = str(error)
    where = f"the store in {folder}"
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{where} cannot be made: a file is in its place; set NBTOOLS_STORE to a folder"
    if isinstance(error, OSError):
        return f"{where} cannot be made: {error.strerror}; set NBTOOLS_STORE to a writable folder"
    if "full" in text:
        return f"{where} cannot be written, the disk is full: free some space and repeat"
    if "readonly" in text or "unable to open" in text:
        return f"{where} cannot be written: set NBTOOLS_STORE to a writable folder"
    if "locked" in text:
        return f"{where} is locked by another process: wait for it to end and repeat"
    if isinstance(error, UnicodeDecodeError) or any(sign in text for sign in DAMAGE):
        return damaged(folder, text)
    return f"{where} failed: {text}; nbtools doctor says more"


def damaged(folder: Path | None, text: str) -> str:
    """That the file is damaged, by what was seen of it, and how to mend it."""
    return f"the store in {folder} is damaged ({' '.join(text.split())[:200]}): {MEND}"
