#!/usr/bin/env python3
"""What git and pre-commit start: `start.py process|clean|smudge`, `start.py hook NAME`,
`start.py merge %O %A %B %L %P`, `start.py textconv FILE`, `start.py nbstripout …`.

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
package.__path__ = [git + "/.."]
sys.modules["nbtools"] = package

job, arguments = "".join(sys.argv[1:2]), sys.argv[1:]
if job == "hook":
    from nbtools.git.hook import main
elif job == "merge":
    from nbtools.git.driver import main

    del arguments[0]
elif job == "nbstripout":
    from nbtools.git.compat import main

    del arguments[0]
elif job == "textconv":
    from nbtools.git.textconv import main

    del arguments[0]
else:
    from nbtools.git.filter import main

sys.exit(main(arguments))
