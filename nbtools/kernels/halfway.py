"""IPython's kernel application, begun as far as that goes before there is a fork.

Reading the command line and the configuration is a seventh of a kernel's life, and the
same each time. A zygote does it once; a fork puts in what is its own. Part of the zygote
program: imports the standard library, and what is loaded already.
"""

from __future__ import annotations

import re
import sys
from typing import Any

#: arguments that can be put in afterwards; with any other the fork begins from the beginning.
SETTING = re.compile(r"--([A-Z]\w*)\.(\w+)=(.*)", re.DOTALL)


def begin() -> list[str]:
    """Begin; returns the files that the configuration is, or could be, read from."""
    module = sys.modules.get("ipykernel.kernelapp")
    base = getattr(sys.modules.get("IPython.core.application"), "BaseIPythonApplication", None)
    if module is None or base is None:
        return []
    app: Any = module.IPKernelApp.instance()
    initialize: Any = base.initialize
    try:
        initialize(app, [])
    except BaseException:  # noqa: BLE001 - whose configuration is wrong is told so by his kernel
        module.IPKernelApp.clear_instance()
        return []

    def finish(self: Any, argv: list[str] | None = None) -> None:
        base.initialize = initialize  # once: what a notebook begins itself is its own
        argv = sys.argv[1:] if argv is None else argv
        settings = _settings(argv)
        if self is not app or settings is None:
            initialize(self, argv)
            return
        loader = sys.modules["traitlets.config.loader"]
        config: Any = loader.Config()
        for owner, trait, value in settings:
            config[owner][trait] = loader.DeferredConfigString(value)
        self.argv = argv
        self.update_config(config)

    base.initialize = finish
    names = {f"{app.config_file_name}", "ipython_config"}
    names = {name.removesuffix(".py") for name in names}
    return [f"{d}/{n}.{s}" for d in app.config_file_paths for n in names for s in ("py", "json")]


def _settings(argv: list[str]) -> list[tuple[str, str, str]] | None:
    """(class, trait, value) for each argument, or None where one is of another kind."""
    found, rest = [], list(argv)
    while rest:
        word = rest.pop(0)
        if word == "-f" and rest:
            found.append(("IPKernelApp", "connection_file", rest.pop(0)))
        elif match := SETTING.fullmatch(word):
            found.append((match[1], match[2], match[3]))
        else:
            return None
    return found
