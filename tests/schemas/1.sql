-- What is remembered: ML Metadata's graph, the points of time series, and how far
-- each journal has been read. Times are RFC 3339 text in UTC, metadata is JSON.

CREATE TABLE contexts (
    name TEXT PRIMARY KEY,
    schema_title TEXT NOT NULL,
    display_name TEXT NOT NULL,
    metadata TEXT NOT NULL,
    create_time TEXT NOT NULL,
    update_time TEXT NOT NULL,
    etag INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE executions (
    name TEXT PRIMARY KEY,
    schema_title TEXT NOT NULL,
    display_name TEXT NOT NULL,
    state TEXT NOT NULL,
    metadata TEXT NOT NULL,
    create_time TEXT NOT NULL,
    update_time TEXT NOT NULL,
    etag INTEGER NOT NULL
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
    etag INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX contexts_by_kind ON contexts (schema_title, create_time);
CREATE INDEX executions_by_kind ON executions (schema_title, state, create_time);
CREATE INDEX artifacts_by_kind ON artifacts (schema_title, display_name, create_time);

-- The edges: which execution read or wrote which artifact, and what belongs to a context.
CREATE TABLE events (
    execution TEXT NOT NULL REFERENCES executions (name),
    artifact TEXT NOT NULL REFERENCES artifacts (name),
    type TEXT NOT NULL,
    time TEXT NOT NULL,
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

-- A run's time series; writing a step again replaces it, as Vertex AI does.
CREATE TABLE points (
    context TEXT NOT NULL REFERENCES contexts (name),
    key TEXT NOT NULL,
    step INTEGER NOT NULL,
    wall_time REAL NOT NULL,
    value REAL, -- NULL is NaN
    PRIMARY KEY (context, key, step)
) WITHOUT ROWID;

CREATE TABLE journals (
    file TEXT PRIMARY KEY,
    context TEXT NOT NULL,
    position INTEGER NOT NULL
) WITHOUT ROWID;
