#!/usr/bin/env python3
"""What git and pre-commit start: `start.py process|clean|smudge` and `start.py hook NAME`.

It runs before anything is installed, on the standard library alone, so it opens the package
without its `__init__`, which is for those who import nbtools.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - a hook runs with whatever python3 is
    sys.exit("nbtools: needs Python 3.11 or newer; this python3 is " + sys.version.split()[0])

git = __file__.replace("\\", "/").rpartition("/")[0] or "."
if sys.path and sys.path[0].replace("\\", "/") == git:
    del sys.path[0]  # our secrets.py is not the standard library's
package = type(sys)("nbtools")
package.__path__ = [git + "/.."]  # type: ignore[attr-defined]
sys.modules["nbtools"] = package

if sys.argv[1:2] == ["hook"]:
    from nbtools.git.hook import main
else:
    from nbtools.git.filter import main

sys.exit(main(sys.argv[1:]))
