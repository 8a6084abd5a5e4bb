"""Runs to Vertex AI and back: what is there, as our records, and what both sides know of it.

    form.py       what a record of ours is there
    calls.py      a call, repeated until it is answered
    service.py    Vertex ML Metadata, in our records
    boards.py     the managed TensorBoard
    ledger.py     what both sides had in common when they last met
    records.py    one record there, as it is to be
    outbound.py   a run there, with all that belongs to it
    series.py     its points there
    inbound.py    an experiment from there

Nothing of Google's is imported before a service is asked for.
"""
