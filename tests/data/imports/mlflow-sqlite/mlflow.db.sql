BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('dc11669786a5');
CREATE TABLE "experiments" (
	experiment_id INTEGER NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	artifact_location VARCHAR(256), 
	lifecycle_stage VARCHAR(32), 
	creation_time BIGINT, 
	last_update_time BIGINT, 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	CONSTRAINT experiment_pk PRIMARY KEY (experiment_id), 
	CONSTRAINT experiments_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), 
	CONSTRAINT uq_experiments_workspace_name UNIQUE (workspace, name)
);
INSERT INTO "experiments" VALUES(0,'Default','/tmp/history/sqlite/mlruns/0','active',1795451640893,1795451640893,'default');
INSERT INTO "experiments" VALUES(1,'Handwritten Digits','/tmp/history/sqlite/mlruns/1','active',1795451640898,1795451640898,'default');
INSERT INTO "experiments" VALUES(2,'日本語','/tmp/history/sqlite/mlruns/2','active',1795451641075,1795451641075,'default');
CREATE TABLE "latest_metrics" (
	"key" VARCHAR(250) NOT NULL, 
	value FLOAT NOT NULL, 
	timestamp BIGINT, 
	step BIGINT NOT NULL, 
	is_nan BOOLEAN NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT latest_metric_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid), 
	CHECK (is_nan IN (0, 1))
);
INSERT INTO "latest_metrics" VALUES('loss',0.2,1795451640974,4,0,'272af284e5e84e29a9c2655dfaa442de');
INSERT INTO "latest_metrics" VALUES('accuracy',0.97,1795451640977,0,0,'272af284e5e84e29a9c2655dfaa442de');
INSERT INTO "latest_metrics" VALUES('eval/f1',0.5,1795451640977,0,0,'272af284e5e84e29a9c2655dfaa442de');
INSERT INTO "latest_metrics" VALUES('odd',0.0,1795451640984,1,1,'272af284e5e84e29a9c2655dfaa442de');
INSERT INTO "latest_metrics" VALUES('no step',1.0,1795451640996,0,0,'272af284e5e84e29a9c2655dfaa442de');
INSERT INTO "latest_metrics" VALUES('accuracy',0.96,1795451641024,0,0,'2fc7f602de5944629e1f38b1f9b2aa07');
INSERT INTO "latest_metrics" VALUES('loss',0.25,1795451641086,0,0,'60bc2355227742c3bde4d8eba7606043');
CREATE TABLE logged_model_tags (
	model_id VARCHAR(36) NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	tag_key VARCHAR(255) NOT NULL, 
	tag_value TEXT NOT NULL, 
	CONSTRAINT logged_model_tags_pk PRIMARY KEY (model_id, tag_key), 
	CONSTRAINT fk_logged_model_tags_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id), 
	CONSTRAINT fk_logged_model_tags_model_id FOREIGN KEY(model_id) REFERENCES logged_models (model_id) ON DELETE CASCADE
);
INSERT INTO "logged_model_tags" VALUES('m-36a393d55e6d4690a05fc7c72d2140a6',1,'mlflow.user','root');
INSERT INTO "logged_model_tags" VALUES('m-36a393d55e6d4690a05fc7c72d2140a6',1,'mlflow.source.name','tests/data/imports/make.py');
INSERT INTO "logged_model_tags" VALUES('m-36a393d55e6d4690a05fc7c72d2140a6',1,'mlflow.source.type','LOCAL');
CREATE TABLE logged_models (
	model_id VARCHAR(36) NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	name VARCHAR(500) NOT NULL, 
	artifact_location VARCHAR(1000) NOT NULL, 
	creation_timestamp_ms BIGINT NOT NULL, 
	last_updated_timestamp_ms BIGINT NOT NULL, 
	status INTEGER NOT NULL, 
	lifecycle_stage VARCHAR(32), 
	model_type VARCHAR(500), 
	source_run_id VARCHAR(32), 
	status_message VARCHAR(1000), 
	CONSTRAINT logged_models_pk PRIMARY KEY (model_id), 
	CONSTRAINT logged_models_lifecycle_stage_check CHECK (lifecycle_stage IN ('active', 'deleted')), 
	CONSTRAINT fk_logged_models_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id) ON DELETE CASCADE
);
INSERT INTO "logged_models" VALUES('m-36a393d55e6d4690a05fc7c72d2140a6',1,'classifier','/tmp/history/sqlite/mlruns/1/models/m-36a393d55e6d4690a05fc7c72d2140a6/artifacts',1795451641111,1795451641124,2,'active',NULL,'de92eaec009d4488bceef188558f92ad',NULL);
CREATE TABLE "metrics" (
	"key" VARCHAR(250) NOT NULL, 
	value FLOAT NOT NULL, 
	timestamp BIGINT NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	step BIGINT DEFAULT '0' NOT NULL, 
	is_nan BOOLEAN DEFAULT '0' NOT NULL, 
	CONSTRAINT metric_pk PRIMARY KEY ("key", timestamp, step, run_uuid, value, is_nan), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid), 
	CHECK (is_nan IN (0, 1))
);
INSERT INTO "metrics" VALUES('loss',1.0,1795451640959,'272af284e5e84e29a9c2655dfaa442de',0,0);
INSERT INTO "metrics" VALUES('loss',0.5,1795451640964,'272af284e5e84e29a9c2655dfaa442de',1,0);
INSERT INTO "metrics" VALUES('loss',3.33333333333333314829e-01,1795451640968,'272af284e5e84e29a9c2655dfaa442de',2,0);
INSERT INTO "metrics" VALUES('loss',0.25,1795451640971,'272af284e5e84e29a9c2655dfaa442de',3,0);
INSERT INTO "metrics" VALUES('loss',0.2,1795451640974,'272af284e5e84e29a9c2655dfaa442de',4,0);
INSERT INTO "metrics" VALUES('accuracy',0.97,1795451640977,'272af284e5e84e29a9c2655dfaa442de',0,0);
INSERT INTO "metrics" VALUES('eval/f1',0.5,1795451640977,'272af284e5e84e29a9c2655dfaa442de',0,0);
INSERT INTO "metrics" VALUES('odd',1.79769313486231562234e+308,1795451640981,'272af284e5e84e29a9c2655dfaa442de',0,0);
INSERT INTO "metrics" VALUES('odd',0.0,1795451640984,'272af284e5e84e29a9c2655dfaa442de',1,1);
INSERT INTO "metrics" VALUES('no step',3.0,1795451640988,'272af284e5e84e29a9c2655dfaa442de',0,0);
INSERT INTO "metrics" VALUES('no step',2.0,1795451640992,'272af284e5e84e29a9c2655dfaa442de',0,0);
INSERT INTO "metrics" VALUES('no step',1.0,1795451640996,'272af284e5e84e29a9c2655dfaa442de',0,0);
INSERT INTO "metrics" VALUES('accuracy',0.96,1795451641024,'2fc7f602de5944629e1f38b1f9b2aa07',0,0);
INSERT INTO "metrics" VALUES('loss',0.25,1795451641086,'60bc2355227742c3bde4d8eba7606043',0,0);
CREATE TABLE "params" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000) NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT param_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid)
);
INSERT INTO "params" VALUES('lr','0.001','272af284e5e84e29a9c2655dfaa442de');
INSERT INTO "params" VALUES('optimizer','adam','272af284e5e84e29a9c2655dfaa442de');
INSERT INTO "params" VALUES('layers','3','272af284e5e84e29a9c2655dfaa442de');
INSERT INTO "params" VALUES('amp','True','272af284e5e84e29a9c2655dfaa442de');
INSERT INTO "params" VALUES('x','1e-3','272af284e5e84e29a9c2655dfaa442de');
INSERT INTO "params" VALUES('lr','0.5','1cb2bd50860645de835ac71be8274261');
CREATE TABLE "runs" (
	run_uuid VARCHAR(32) NOT NULL, 
	name VARCHAR(250), 
	source_type VARCHAR(20), 
	source_name VARCHAR(500), 
	entry_point_name VARCHAR(50), 
	user_id VARCHAR(256), 
	status VARCHAR(9), 
	start_time BIGINT, 
	end_time BIGINT, 
	source_version VARCHAR(50), 
	lifecycle_stage VARCHAR(20), 
	artifact_uri VARCHAR(200), 
	experiment_id INTEGER, deleted_time BIGINT, 
	CONSTRAINT run_pk PRIMARY KEY (run_uuid), 
	CONSTRAINT runs_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), 
	CONSTRAINT source_type CHECK (source_type IN ('NOTEBOOK', 'JOB', 'LOCAL', 'UNKNOWN', 'PROJECT')), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id), 
	CHECK (status IN ('SCHEDULED', 'FAILED', 'FINISHED', 'RUNNING', 'KILLED'))
);
INSERT INTO "runs" VALUES('272af284e5e84e29a9c2655dfaa442de','Wide & deep','UNKNOWN','','','root','FINISHED',1795451640938,1795451641033,'','active','/tmp/history/sqlite/mlruns/1/272af284e5e84e29a9c2655dfaa442de/artifacts',1,NULL);
INSERT INTO "runs" VALUES('2fc7f602de5944629e1f38b1f9b2aa07','fold 1','UNKNOWN','','','root','FINISHED',1795451641015,1795451641028,'','active','/tmp/history/sqlite/mlruns/1/2fc7f602de5944629e1f38b1f9b2aa07/artifacts',1,NULL);
INSERT INTO "runs" VALUES('1cb2bd50860645de835ac71be8274261','Wide & deep','UNKNOWN','','','root','FAILED',1795451641038,1795451641047,'','active','/tmp/history/sqlite/mlruns/1/1cb2bd50860645de835ac71be8274261/artifacts',1,NULL);
INSERT INTO "runs" VALUES('a104677179c24531a66c7e80d8783223','killed','UNKNOWN','','','root','KILLED',1795451641051,1795451641057,'','active','/tmp/history/sqlite/mlruns/1/a104677179c24531a66c7e80d8783223/artifacts',1,NULL);
INSERT INTO "runs" VALUES('0e468910214645d4949c6d6f839fcc22','deleted','UNKNOWN','','','root','FINISHED',1795451641061,1795451641066,'','deleted','/tmp/history/sqlite/mlruns/1/0e468910214645d4949c6d6f839fcc22/artifacts',1,1795451641070);
INSERT INTO "runs" VALUES('60bc2355227742c3bde4d8eba7606043','実験','UNKNOWN','','','root','FINISHED',1795451641080,1795451641089,'','active','/tmp/history/sqlite/mlruns/2/60bc2355227742c3bde4d8eba7606043/artifacts',2,NULL);
INSERT INTO "runs" VALUES('2050ec7214ec47ddbae7d77c53ac1cde','at work','UNKNOWN','','','unknown','RUNNING',1795451641095,NULL,'','active','/tmp/history/sqlite/mlruns/1/2050ec7214ec47ddbae7d77c53ac1cde/artifacts',1,NULL);
INSERT INTO "runs" VALUES('de92eaec009d4488bceef188558f92ad','has a model','UNKNOWN','','','root','FINISHED',1795451641102,1795451641127,'','active','/tmp/history/sqlite/mlruns/1/de92eaec009d4488bceef188558f92ad/artifacts',1,NULL);
CREATE TABLE "tags" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000), 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT tag_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid)
);
INSERT INTO "tags" VALUES('mlflow.user','root','272af284e5e84e29a9c2655dfaa442de');
INSERT INTO "tags" VALUES('mlflow.source.name','tests/data/imports/make.py','272af284e5e84e29a9c2655dfaa442de');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','272af284e5e84e29a9c2655dfaa442de');
INSERT INTO "tags" VALUES('mlflow.note.content','the first that worked','272af284e5e84e29a9c2655dfaa442de');
INSERT INTO "tags" VALUES('mlflow.runName','Wide & deep','272af284e5e84e29a9c2655dfaa442de');
INSERT INTO "tags" VALUES('team','vision','272af284e5e84e29a9c2655dfaa442de');
INSERT INTO "tags" VALUES('baseline','','272af284e5e84e29a9c2655dfaa442de');
INSERT INTO "tags" VALUES('mlflow.user','root','2fc7f602de5944629e1f38b1f9b2aa07');
INSERT INTO "tags" VALUES('mlflow.source.name','tests/data/imports/make.py','2fc7f602de5944629e1f38b1f9b2aa07');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','2fc7f602de5944629e1f38b1f9b2aa07');
INSERT INTO "tags" VALUES('mlflow.parentRunId','272af284e5e84e29a9c2655dfaa442de','2fc7f602de5944629e1f38b1f9b2aa07');
INSERT INTO "tags" VALUES('mlflow.runName','fold 1','2fc7f602de5944629e1f38b1f9b2aa07');
INSERT INTO "tags" VALUES('mlflow.user','root','1cb2bd50860645de835ac71be8274261');
INSERT INTO "tags" VALUES('mlflow.source.name','tests/data/imports/make.py','1cb2bd50860645de835ac71be8274261');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','1cb2bd50860645de835ac71be8274261');
INSERT INTO "tags" VALUES('mlflow.runName','Wide & deep','1cb2bd50860645de835ac71be8274261');
INSERT INTO "tags" VALUES('mlflow.user','root','a104677179c24531a66c7e80d8783223');
INSERT INTO "tags" VALUES('mlflow.source.name','tests/data/imports/make.py','a104677179c24531a66c7e80d8783223');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','a104677179c24531a66c7e80d8783223');
INSERT INTO "tags" VALUES('mlflow.runName','killed','a104677179c24531a66c7e80d8783223');
INSERT INTO "tags" VALUES('mlflow.user','root','0e468910214645d4949c6d6f839fcc22');
INSERT INTO "tags" VALUES('mlflow.source.name','tests/data/imports/make.py','0e468910214645d4949c6d6f839fcc22');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','0e468910214645d4949c6d6f839fcc22');
INSERT INTO "tags" VALUES('mlflow.runName','deleted','0e468910214645d4949c6d6f839fcc22');
INSERT INTO "tags" VALUES('mlflow.user','root','60bc2355227742c3bde4d8eba7606043');
INSERT INTO "tags" VALUES('mlflow.source.name','tests/data/imports/make.py','60bc2355227742c3bde4d8eba7606043');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','60bc2355227742c3bde4d8eba7606043');
INSERT INTO "tags" VALUES('mlflow.runName','実験','60bc2355227742c3bde4d8eba7606043');
INSERT INTO "tags" VALUES('mlflow.runName','at work','2050ec7214ec47ddbae7d77c53ac1cde');
INSERT INTO "tags" VALUES('mlflow.user','root','de92eaec009d4488bceef188558f92ad');
INSERT INTO "tags" VALUES('mlflow.source.name','tests/data/imports/make.py','de92eaec009d4488bceef188558f92ad');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','de92eaec009d4488bceef188558f92ad');
INSERT INTO "tags" VALUES('mlflow.runName','has a model','de92eaec009d4488bceef188558f92ad');
CREATE TABLE workspaces (
	name VARCHAR(63) NOT NULL, 
	description TEXT, 
	default_artifact_root TEXT, trace_archival_location TEXT, trace_archival_retention VARCHAR(32), 
	CONSTRAINT workspaces_pk PRIMARY KEY (name)
);
INSERT INTO "workspaces" VALUES('default','Default workspace for legacy resources',NULL,NULL,NULL);
CREATE INDEX index_metrics_run_uuid ON metrics (run_uuid);
CREATE INDEX index_latest_metrics_run_uuid ON latest_metrics (run_uuid);
CREATE INDEX index_params_run_uuid ON params (run_uuid);
CREATE INDEX index_tags_run_uuid ON tags (run_uuid);
CREATE INDEX idx_experiments_workspace ON experiments (workspace);
CREATE INDEX idx_experiments_workspace_creation_time ON experiments (workspace, creation_time);
CREATE INDEX index_metrics_run_uuid_key_step ON metrics (run_uuid, "key", step);
COMMIT;
