BEGIN TRANSACTION;
CREATE TABLE alerts (
                        id INTEGER PRIMARY KEY AUTOINCREMENT,
                        run_id TEXT NOT NULL,
                        timestamp TEXT NOT NULL,
                        run_name TEXT NOT NULL,
                        title TEXT NOT NULL,
                        text TEXT,
                        level TEXT NOT NULL DEFAULT 'warn',
                        step INTEGER,
                        alert_id TEXT
                    );
CREATE TABLE artifact_aliases (
                        artifact_id INTEGER NOT NULL REFERENCES artifacts(id),
                        alias TEXT NOT NULL,
                        artifact_version_id INTEGER NOT NULL REFERENCES artifact_versions(id),
                        PRIMARY KEY (artifact_id, alias)
                    );
CREATE TABLE artifact_versions (
                        id INTEGER PRIMARY KEY AUTOINCREMENT,
                        artifact_id INTEGER NOT NULL REFERENCES artifacts(id),
                        version INTEGER NOT NULL,
                        manifest_digest TEXT NOT NULL,
                        manifest TEXT NOT NULL,
                        metadata TEXT,
                        size_bytes INTEGER NOT NULL,
                        producer_run_id TEXT,
                        producer_run_name TEXT,
                        created_at TEXT NOT NULL,
                        UNIQUE(artifact_id, version),
                        UNIQUE(artifact_id, manifest_digest)
                    );
CREATE TABLE artifacts (
                        id INTEGER PRIMARY KEY AUTOINCREMENT,
                        name TEXT NOT NULL UNIQUE,
                        type TEXT NOT NULL,
                        description TEXT,
                        created_at TEXT NOT NULL
                    );
CREATE TABLE configs (
                        id INTEGER PRIMARY KEY AUTOINCREMENT,
                        run_id TEXT NOT NULL,
                        run_name TEXT NOT NULL,
                        config TEXT NOT NULL,
                        created_at TEXT NOT NULL,
                        UNIQUE(run_id)
                    );
INSERT INTO "configs" VALUES(1,'52ac84549f5c4622a7e2bf6356598900','lively-fox-0',X'7B226C72223A302E312C226E6574223A7B227769647468223A387D2C225F557365726E616D65223A6E756C6C2C225F43726561746564223A22323032362D31312D32335431363A33333A32312E3633323939342B30303A3030222C225F47726F7570223A6E756C6C7D','2026-11-23T16:33:21.642836+00:00');
INSERT INTO "configs" VALUES(2,'0203603e59574d1ca3df1bcc7b031def','Baseline (v2)',X'7B226C72223A302E312C226E6574223A7B227769647468223A387D2C225F557365726E616D65223A6E756C6C2C225F43726561746564223A22323032362D31312D32335431363A33333A32312E3634383636372B30303A3030222C225F47726F7570223A6E756C6C7D','2026-11-23T16:33:21.653455+00:00');
CREATE TABLE external_run_artifact_links (
                        id INTEGER PRIMARY KEY AUTOINCREMENT,
                        run_id TEXT,
                        run_name TEXT,
                        source_project TEXT NOT NULL,
                        source_version_id INTEGER NOT NULL,
                        source_artifact TEXT NOT NULL,
                        source_type TEXT NOT NULL,
                        source_version INTEGER NOT NULL,
                        source_size_bytes INTEGER NOT NULL,
                        direction TEXT NOT NULL CHECK(direction IN ('input', 'output')),
                        created_at TEXT NOT NULL
                    );
CREATE TABLE metrics (
                        id INTEGER PRIMARY KEY AUTOINCREMENT,
                        run_id TEXT NOT NULL,
                        timestamp TEXT NOT NULL,
                        run_name TEXT NOT NULL,
                        step INTEGER NOT NULL,
                        metrics TEXT NOT NULL
                    , log_id TEXT, space_id TEXT);
INSERT INTO "metrics" VALUES(1,'52ac84549f5c4622a7e2bf6356598900','2026-11-23T16:33:21.634453+00:00','lively-fox-0',0,X'7B226C6F7373223A312E302C226E6F7465223A2274657874222C226E6573746564223A7B2261223A307D7D','505d77f7929a4322af1d58c7db7c29ee',NULL);
INSERT INTO "metrics" VALUES(2,'52ac84549f5c4622a7e2bf6356598900','2026-11-23T16:33:21.634453+00:00','lively-fox-0',1,X'7B226C6F7373223A302E352C226E6F7465223A2274657874222C226E6573746564223A7B2261223A317D7D','ff56941176e34defbebd4eea6cc9390b',NULL);
INSERT INTO "metrics" VALUES(3,'52ac84549f5c4622a7e2bf6356598900','2026-11-23T16:33:21.634453+00:00','lively-fox-0',2,X'7B226C6F7373223A302E333333333333333333333333333333332C226E6F7465223A2274657874222C226E6573746564223A7B2261223A327D7D','a1e5ddb437584d81b2940de74cfb63b4',NULL);
INSERT INTO "metrics" VALUES(4,'52ac84549f5c4622a7e2bf6356598900','2026-11-23T16:33:21.634453+00:00','lively-fox-0',3,X'7B226C6F7373223A302E32352C226E6F7465223A2274657874222C226E6573746564223A7B2261223A337D7D','b124e90113854db591addc131dffab0c',NULL);
INSERT INTO "metrics" VALUES(5,'52ac84549f5c4622a7e2bf6356598900','2026-11-23T16:33:21.634453+00:00','lively-fox-0',4,X'7B226F6464223A22496E66696E697479227D','e189af5a0e4849519ffa2f9d61e75b14',NULL);
INSERT INTO "metrics" VALUES(6,'52ac84549f5c4622a7e2bf6356598900','2026-11-23T16:33:21.634453+00:00','lively-fox-0',5,X'7B226F6464223A224E614E227D','853f55713bcd40d3917398e166828c46',NULL);
INSERT INTO "metrics" VALUES(7,'0203603e59574d1ca3df1bcc7b031def','2026-11-23T16:33:21.650391+00:00','Baseline (v2)',0,X'7B226C6F7373223A312E302C226E6F7465223A2274657874222C226E6573746564223A7B2261223A307D7D','0f38510fd0514027a0b043a406745451',NULL);
INSERT INTO "metrics" VALUES(8,'0203603e59574d1ca3df1bcc7b031def','2026-11-23T16:33:21.650391+00:00','Baseline (v2)',1,X'7B226C6F7373223A302E352C226E6F7465223A2274657874222C226E6573746564223A7B2261223A317D7D','8bd5d4d4b3c44146a3b535f8d951a259',NULL);
INSERT INTO "metrics" VALUES(9,'0203603e59574d1ca3df1bcc7b031def','2026-11-23T16:33:21.650391+00:00','Baseline (v2)',2,X'7B226C6F7373223A302E333333333333333333333333333333332C226E6F7465223A2274657874222C226E6573746564223A7B2261223A327D7D','6a5dcf705275439e9e3e2aee4145f613',NULL);
INSERT INTO "metrics" VALUES(10,'0203603e59574d1ca3df1bcc7b031def','2026-11-23T16:33:21.650391+00:00','Baseline (v2)',3,X'7B226C6F7373223A302E32352C226E6F7465223A2274657874222C226E6573746564223A7B2261223A337D7D','d2fb74353d7f4fe99ad4ef9c3b4ab502',NULL);
INSERT INTO "metrics" VALUES(11,'0203603e59574d1ca3df1bcc7b031def','2026-11-23T16:33:21.650391+00:00','Baseline (v2)',4,X'7B226F6464223A22496E66696E697479227D','7684431eaba04a739cfe9e269320e874',NULL);
INSERT INTO "metrics" VALUES(12,'0203603e59574d1ca3df1bcc7b031def','2026-11-23T16:33:21.650391+00:00','Baseline (v2)',5,X'7B226F6464223A224E614E227D','12e370937dfb4f818bc647ff1aa83fe2',NULL);
CREATE TABLE pending_uploads (
                        id INTEGER PRIMARY KEY AUTOINCREMENT,
                        space_id TEXT NOT NULL,
                        run_id TEXT,
                        run_name TEXT,
                        step INTEGER,
                        file_path TEXT NOT NULL,
                        relative_path TEXT,
                        created_at TEXT NOT NULL
                    , kind TEXT NOT NULL DEFAULT 'media', digest TEXT);
CREATE TABLE project_metadata (
                        key TEXT PRIMARY KEY,
                        value TEXT NOT NULL
                    );
CREATE TABLE run_artifact_links (
                        id INTEGER PRIMARY KEY AUTOINCREMENT,
                        run_id TEXT,
                        run_name TEXT,
                        run_project TEXT,
                        artifact_version_id INTEGER NOT NULL REFERENCES artifact_versions(id),
                        direction TEXT NOT NULL CHECK(direction IN ('input', 'output')),
                        created_at TEXT NOT NULL
                    );
CREATE TABLE system_metrics (
                        id INTEGER PRIMARY KEY AUTOINCREMENT,
                        run_id TEXT NOT NULL,
                        timestamp TEXT NOT NULL,
                        run_name TEXT NOT NULL,
                        metrics TEXT NOT NULL
                    , log_id TEXT, space_id TEXT);
CREATE TABLE traces (
                        id TEXT PRIMARY KEY,
                        run_id TEXT NOT NULL,
                        timestamp TEXT NOT NULL,
                        run_name TEXT NOT NULL,
                        step INTEGER NOT NULL,
                        key TEXT NOT NULL,
                        trace_index INTEGER,
                        messages TEXT NOT NULL,
                        metadata TEXT NOT NULL,
                        search_text TEXT NOT NULL,
                        log_id TEXT,
                        space_id TEXT,
                        spans TEXT NOT NULL DEFAULT '[]'
                    );
CREATE INDEX idx_run_artifact_links_run
                    ON run_artifact_links(run_id, run_name)
                    ;
CREATE INDEX idx_run_artifact_links_name
                    ON run_artifact_links(run_name, run_id)
                    ;
CREATE INDEX idx_run_artifact_links_version
                    ON run_artifact_links(artifact_version_id)
                    ;
CREATE INDEX idx_run_artifact_links_project_run
                    ON run_artifact_links(run_project, run_id, run_name);
CREATE INDEX idx_external_artifact_links_run
                    ON external_run_artifact_links(run_id, run_name);
CREATE UNIQUE INDEX idx_external_artifact_links_unique
                    ON external_run_artifact_links(
                        COALESCE(run_id, ''), COALESCE(run_name, ''),
                        source_project, source_version_id, direction
                    );
CREATE INDEX idx_pending_uploads_kind
                    ON pending_uploads(kind)
                    ;
CREATE INDEX idx_metrics_run_step
                    ON metrics(run_id, step)
                    ;
CREATE INDEX idx_metrics_run_timestamp
                    ON metrics(run_id, timestamp)
                    ;
CREATE INDEX idx_configs_run_name
                    ON configs(run_name)
                    ;
CREATE INDEX idx_system_metrics_run_timestamp
                    ON system_metrics(run_id, timestamp)
                    ;
CREATE INDEX idx_traces_run_step
                    ON traces(run_id, step)
                    ;
CREATE INDEX idx_traces_run_timestamp
                    ON traces(run_id, timestamp)
                    ;
CREATE INDEX idx_traces_search
                    ON traces(search_text)
                    ;
CREATE INDEX idx_alerts_run
                    ON alerts(run_id)
                    ;
CREATE INDEX idx_alerts_timestamp
                    ON alerts(timestamp)
                    ;
CREATE UNIQUE INDEX idx_alerts_alert_id
                    ON alerts(alert_id) WHERE alert_id IS NOT NULL
                    ;
CREATE UNIQUE INDEX idx_metrics_log_id
                        ON metrics(log_id) WHERE log_id IS NOT NULL;
CREATE INDEX idx_metrics_pending
                        ON metrics(space_id) WHERE space_id IS NOT NULL;
CREATE UNIQUE INDEX idx_system_metrics_log_id
                        ON system_metrics(log_id) WHERE log_id IS NOT NULL;
CREATE INDEX idx_system_metrics_pending
                        ON system_metrics(space_id) WHERE space_id IS NOT NULL;
CREATE INDEX idx_metrics_run_record
                        ON metrics(run_id, run_name, timestamp);
CREATE UNIQUE INDEX idx_run_artifact_links_unique
                    ON run_artifact_links(
                        COALESCE(run_project, ''), COALESCE(run_id, ''),
                        COALESCE(run_name, ''), artifact_version_id, direction
                    );
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('metrics',12);
INSERT INTO "sqlite_sequence" VALUES('configs',2);
COMMIT;
