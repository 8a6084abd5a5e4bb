"""Workbench: Google's machines with JupyterLab on them. `nbtools workbench`.

request.py    an RPC as data: what is sent, and shown by --dry-run
spec.py       an instance as its user writes it, and as the service wants it
instances.py  the requests of an instance's life
client.py     sends requests: alone imports `google.*`
access.py     who may open JupyterLab, and what it takes
migration.py  managed and user-managed notebooks as specs, and what has no equivalent
templates.py  Colab Enterprise's runtime templates
setup.py      what is done inside of an instance: repository, filter, kernels, store
"""
