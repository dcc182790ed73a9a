-- Jobs and executions, and the gates that deliveries of a job pass.

ALTER TABLE queue ADD COLUMN job INTEGER;
ALTER TABLE queue ADD COLUMN progress_interval INTEGER;
-- Only what tells of a job is in it.
CREATE INDEX queue_by_job ON queue (webhook, job) WHERE job IS NOT NULL;

-- Until when no further progress of a job goes to one place. What lies in the past says nothing.
CREATE TABLE gates (
    webhook INTEGER NOT NULL,
    job INTEGER NOT NULL,
    closed_until INTEGER NOT NULL,
    PRIMARY KEY (webhook, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX gates_by_time ON gates (closed_until);

-- The input is apart from the document, which is written anew with every report.
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    version INTEGER NOT NULL,
    status TEXT NOT NULL,
    job_type TEXT NOT NULL,
    external_id TEXT,
    doc TEXT NOT NULL,
    input TEXT,
    secret BLOB NOT NULL,
    deadline INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX jobs_by_tenant ON jobs (tenant);
CREATE INDEX jobs_by_external_id ON jobs (tenant, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX jobs_by_deadline ON jobs (deadline) WHERE deadline IS NOT NULL;

-- deadline: while it is under way. How its webhook stands is with the delivery that tells of it.
CREATE TABLE executions (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    version INTEGER NOT NULL,
    outcome TEXT,
    doc TEXT NOT NULL,
    secret BLOB NOT NULL,
    deadline INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX executions_by_tenant ON executions (tenant);
CREATE INDEX executions_by_deadline ON executions (deadline) WHERE deadline IS NOT NULL;

-- The results of an execution's jobs, by their place in the plan; written once.
CREATE TABLE execution_results (
    execution INTEGER NOT NULL,
    place INTEGER NOT NULL,
    result TEXT NOT NULL,
    PRIMARY KEY (execution, place)
) STRICT, WITHOUT ROWID;
