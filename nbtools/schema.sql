-- What is remembered: ML Metadata's graph, the points of time series, and how far
-- each journal has been read. Times are RFC 3339 text in UTC, metadata and labels are JSON.

CREATE TABLE contexts (
    name TEXT PRIMARY KEY,
    schema_title TEXT NOT NULL,
    display_name TEXT NOT NULL,
    metadata TEXT NOT NULL,
    create_time TEXT NOT NULL,
    update_time TEXT NOT NULL,
    etag INTEGER NOT NULL,
    labels TEXT NOT NULL DEFAULT '{}',
    description TEXT NOT NULL DEFAULT '',
    schema_version TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

CREATE TABLE executions (
    name TEXT PRIMARY KEY,
    schema_title TEXT NOT NULL,
    display_name TEXT NOT NULL,
    state TEXT NOT NULL,
    metadata TEXT NOT NULL,
    create_time TEXT NOT NULL,
    update_time TEXT NOT NULL,
    etag INTEGER NOT NULL,
    labels TEXT NOT NULL DEFAULT '{}',
    description TEXT NOT NULL DEFAULT '',
    schema_version TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

CREATE TABLE artifacts (
    name TEXT PRIMARY KEY,
    schema_title TEXT NOT NULL,
    display_name TEXT NOT NULL,
    uri TEXT NOT NULL,
    state TEXT NOT NULL,
    metadata TEXT NOT NULL,
    create_time TEXT NOT NULL,
    update_time TEXT NOT NULL,
    etag INTEGER NOT NULL,
    labels TEXT NOT NULL DEFAULT '{}',
    description TEXT NOT NULL DEFAULT '',
    schema_version TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

-- With all that a table of runs needs: their metadata is large, and not read for it.
CREATE INDEX contexts_by_kind ON contexts (schema_title, create_time, display_name, etag);
CREATE INDEX executions_by_kind ON executions (schema_title, state, create_time);
CREATE INDEX artifacts_by_kind ON artifacts (schema_title, display_name, create_time);

-- The edges: which execution read or wrote which artifact, and what belongs to a context.
CREATE TABLE events (
    execution TEXT NOT NULL REFERENCES executions (name),
    artifact TEXT NOT NULL REFERENCES artifacts (name),
    type TEXT NOT NULL,
    time TEXT NOT NULL,
    labels TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (execution, artifact, type)
) WITHOUT ROWID;
CREATE INDEX events_by_artifact ON events (artifact);

CREATE TABLE children (
    parent TEXT NOT NULL REFERENCES contexts (name),
    child TEXT NOT NULL REFERENCES contexts (name),
    PRIMARY KEY (parent, child)
) WITHOUT ROWID;
CREATE INDEX children_by_child ON children (child);

CREATE TABLE context_executions (
    context TEXT NOT NULL REFERENCES contexts (name),
    execution TEXT NOT NULL REFERENCES executions (name),
    PRIMARY KEY (context, execution)
) WITHOUT ROWID;

CREATE TABLE context_artifacts (
    context TEXT NOT NULL REFERENCES contexts (name),
    artifact TEXT NOT NULL REFERENCES artifacts (name),
    PRIMARY KEY (context, artifact)
) WITHOUT ROWID;

-- A run's time series: where each ends, and its points in chunks. The data of a chunk are
-- its steps (64 bit, rising), then its wall times, then its values (double), little-endian.
CREATE TABLE series (
    context TEXT NOT NULL REFERENCES contexts (name),
    key TEXT NOT NULL,
    last_step INTEGER NOT NULL,
    last_value REAL, -- NULL is NaN
    PRIMARY KEY (context, key)
) WITHOUT ROWID;

CREATE TABLE chunks (
    context TEXT NOT NULL REFERENCES contexts (name),
    key TEXT NOT NULL,
    number INTEGER NOT NULL,
    length INTEGER NOT NULL,
    first_step INTEGER NOT NULL,
    last_step INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (context, key, number)
) WITHOUT ROWID;

-- What a run comes to, for tables of many: its columns are a shape, its numbers one blob of
-- doubles in their order, what is no number a JSON list. Made anew when the etags differ.
CREATE TABLE shapes (
    id INTEGER PRIMARY KEY,
    columns TEXT NOT NULL UNIQUE
);

CREATE TABLE summaries (
    context TEXT PRIMARY KEY REFERENCES contexts (name),
    etag INTEGER NOT NULL,
    experiment TEXT NOT NULL,
    state TEXT NOT NULL,
    shape INTEGER NOT NULL REFERENCES shapes (id),
    numbers BLOB NOT NULL,
    others TEXT NOT NULL
) WITHOUT ROWID;

-- How far each journal has been read, and the names that numbers in it stand for.
CREATE TABLE journals (
    file TEXT PRIMARY KEY,
    context TEXT NOT NULL,
    position INTEGER NOT NULL,
    keys TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;

-- What happens by the clock. The record is JSON; what is searched for has its column.
CREATE TABLE schedules (
    name TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    next_run_time TEXT,
    after TEXT NOT NULL, -- names between commas, `,train,`; empty where the clock decides
    update_time TEXT NOT NULL,
    record TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX schedules_by_time ON schedules (state, next_run_time);
CREATE INDEX schedules_by_after ON schedules (after) WHERE after != '';

-- One row for each time that a schedule was due: that is what makes it happen once.
CREATE TABLE ticks (
    schedule TEXT NOT NULL REFERENCES schedules (name) ON DELETE CASCADE,
    time TEXT NOT NULL,
    state TEXT NOT NULL,
    priority INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    not_before TEXT,
    job TEXT NOT NULL,
    reason TEXT NOT NULL,
    update_time TEXT NOT NULL,
    PRIMARY KEY (schedule, time)
) WITHOUT ROWID;
CREATE INDEX ticks_by_state ON ticks (state, schedule);

-- What is to be told of a tick, to whom, and whether it was.
CREATE TABLE notices (
    schedule TEXT NOT NULL,
    time TEXT NOT NULL,
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    not_before TEXT NOT NULL,
    message TEXT NOT NULL,
    error TEXT NOT NULL,
    PRIMARY KEY (schedule, time, kind, target)
) WITHOUT ROWID;
CREATE INDEX notices_by_state ON notices (state, not_before);

-- What Vertex AI's services keep besides the graph: metadata schemas, tensorboards with their
-- experiments, runs and time series, operations. Names are without project and location. A
-- tensorboard's run has its scalars in the series of a context.
CREATE TABLE resources (
    name TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    parent TEXT REFERENCES resources (name) ON DELETE CASCADE,
    context TEXT REFERENCES contexts (name),
    display_name TEXT NOT NULL,
    record TEXT NOT NULL,
    create_time TEXT NOT NULL,
    update_time TEXT NOT NULL,
    etag INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX resources_by_parent ON resources (type, parent, display_name);
CREATE INDEX resources_by_context ON resources (context) WHERE context IS NOT NULL;

-- The points of time series of tensors and of blobs; the data are Vertex AI's message.
CREATE TABLE tensors (
    resource TEXT NOT NULL REFERENCES resources (name) ON DELETE CASCADE,
    step INTEGER NOT NULL,
    wall_time REAL NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (resource, step)
);
