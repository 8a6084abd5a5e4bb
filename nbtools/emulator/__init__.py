"""A local Vertex AI: its own SDK, unmodified, talks to nbtools' store. `nbtools emulator`.

    catalog.py      the RPCs: names, message types and routes, as the installed SDK has them
    rest.py         the HTTP door, over transcoding.py    rpc.py  the gRPC door
    call.py         what a handler is given, and how errors are said
    metadata.py … tensorboards.py …                       the handlers, by noun
    handlers.py     which file serves which RPC
    server.py       both doors, open; lifecycle.py begins and ends one in the background
    startup/        what makes `google.cloud.aiplatform` in any Python process talk to it

To serve more RPCs write a file whose `HANDLERS` is a table by the RPC's full name,

    HANDLERS = {"ScheduleService.CreateSchedule": create_schedule}

of functions `(call: Call, request) -> message`. The request is the protobuf message that the
RPC takes, and what is returned the one that the SDK says it returns (`call.new("Schedule")`
makes one by its name; `operations.done(call, message)` wraps what comes back as a long-running
operation). `call.store` is the open store and `call.now` the time; what is no part of
ML Metadata's graph is kept in `call.store.resources`. Raise an `NbtoolsError`, or
`call.Refused` with Google's word for what is wrong. Then add the file to `handlers.py`: an RPC
that has no handler is answered with 501, and `COVERAGE.md` is made anew from that table.
Another service than those of `catalog.SERVICES` needs a line there. A call that begins with one
of `handlers.READING` must change nothing: it runs in no
transaction, and nbtools' own journals are read before it.
"""
