"""What every runner would do first and alike, done once by the zygote that imports this."""

from __future__ import annotations

from contextlib import suppress

import nbformat
from jupyter_client.provisioning.factory import KernelProvisionerFactory

from nbtools import engine, limits  # noqa: F401 - loaded here so that no fork has to
from nbtools.executors import local  # noqa: F401
from nbtools.kernels import provisioner  # noqa: F401

with suppress(ImportError):  # from where jupyter_client takes its own kernel, if there is one
    import ipykernel.kernelspec  # noqa: F401
KernelProvisionerFactory.instance()  # looks through all installed packages for entry points
nbformat.validate(nbformat.v4.new_notebook())  # compiles the schema
