-- The catalogue: small, read whole at start-up.

CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
-- How far the sorted indexes below are complete: the largest id in them.
INSERT INTO meta VALUES ('deliveries_indexed', 0), ('events_indexed', 0);

CREATE TABLE tenants (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    retention_days INTEGER,
    created_at INTEGER NOT NULL
) STRICT;
INSERT INTO tenants VALUES (1, 'default', NULL, 0);

CREATE TABLE api_keys (
    id INTEGER PRIMARY KEY,
    tenant INTEGER,
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    prefix TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

CREATE TABLE webhooks (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    doc TEXT NOT NULL,
    secrets BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;

CREATE TABLE webhook_revisions (
    webhook INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    doc TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (webhook, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE webhook_health (webhook INTEGER PRIMARY KEY, doc TEXT NOT NULL) STRICT;

-- Webhooks whose queued deliveries, up to this id, end in maintenance steps.
CREATE TABLE ending (webhook INTEGER PRIMARY KEY, upto INTEGER NOT NULL) STRICT;

-- The hot path: four rows for an event with one delivery that succeeds at once, two of them deleted.

CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    client_id TEXT,
    type TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    ordering_key TEXT,
    deliver_at INTEGER,
    expires_at INTEGER,
    data BLOB NOT NULL
) STRICT;

-- Only what is owed.
CREATE TABLE queue (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    webhook INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    event INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    ready_at INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    expires_at INTEGER,
    attempts INTEGER NOT NULL,
    granted INTEGER NOT NULL
) STRICT;
-- Ends with the id, as every index does: a lane in the order in which it is worked off.
CREATE INDEX queue_by_lane ON queue (webhook, slot, ready_at);
-- An event is kept while something here needs it. New events are the youngest, so this costs 0.3 µs.
CREATE INDEX queue_by_event ON queue (event);

-- Fan-outs that are being written in several transactions, with the ids of their deliveries. What is
-- found here at start-up was never acknowledged and is withdrawn.
CREATE TABLE unfinished (
    event INTEGER PRIMARY KEY,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL
) STRICT;

-- What ended. A successful first attempt is folded in: only then is duration_ms set.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    webhook INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    event INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    status INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    granted INTEGER NOT NULL,
    completed_at INTEGER NOT NULL,
    last_attempt_at INTEGER,
    response_status INTEGER,
    error TEXT,
    error_type TEXT,
    duration_ms INTEGER,
    attempt_revision INTEGER,
    signature TEXT,
    response_headers TEXT,
    response_body TEXT
) STRICT;
-- Dead letters are found without a scan.
CREATE INDEX deliveries_dead ON deliveries (tenant) WHERE status <> 2;

CREATE TABLE attempts (
    delivery INTEGER NOT NULL,
    number INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    signature TEXT NOT NULL,
    response_status INTEGER,
    response_headers TEXT NOT NULL,
    response_body TEXT NOT NULL,
    error TEXT NOT NULL,
    error_type TEXT NOT NULL,
    retry_at INTEGER,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;

-- Client event ids (kind 0) and idempotency keys (kind 1), with the answer that was given.
CREATE TABLE seen (
    tenant INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    event INTEGER,
    answer BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX seen_by_age ON seen (created_at);

-- Indexes that maintenance writes in sorted runs, complete up to the ids in meta. On the hot path they
-- would touch a page for each webhook in a batch.
CREATE TABLE deliveries_by_webhook (
    webhook INTEGER NOT NULL, id INTEGER NOT NULL, status INTEGER NOT NULL,
    PRIMARY KEY (webhook, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE deliveries_by_event (
    event INTEGER NOT NULL, id INTEGER NOT NULL, status INTEGER NOT NULL,
    PRIMARY KEY (event, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE deliveries_by_tenant (
    tenant INTEGER NOT NULL, id INTEGER NOT NULL, status INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE events_by_tenant (
    tenant INTEGER NOT NULL, id INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

-- Counts, committed with what they count. l0 … l15: attempts by duration. What is owed is the sum of
-- its changes. Hour 0 of a webhook holds what is older than retention.

CREATE TABLE tenant_totals (
    tenant INTEGER PRIMARY KEY,
    accepted INTEGER NOT NULL DEFAULT 0, success INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0, cancelled INTEGER NOT NULL DEFAULT 0,
    expired INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    attempts_failed INTEGER NOT NULL DEFAULT 0,
    pending INTEGER NOT NULL DEFAULT 0, retrying INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE tenant_minutes (
    tenant INTEGER NOT NULL, minute INTEGER NOT NULL,
    accepted INTEGER NOT NULL DEFAULT 0, success INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0, cancelled INTEGER NOT NULL DEFAULT 0,
    expired INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    attempts_failed INTEGER NOT NULL DEFAULT 0,
    l0 INTEGER NOT NULL DEFAULT 0, l1 INTEGER NOT NULL DEFAULT 0, l2 INTEGER NOT NULL DEFAULT 0,
    l3 INTEGER NOT NULL DEFAULT 0, l4 INTEGER NOT NULL DEFAULT 0, l5 INTEGER NOT NULL DEFAULT 0,
    l6 INTEGER NOT NULL DEFAULT 0, l7 INTEGER NOT NULL DEFAULT 0, l8 INTEGER NOT NULL DEFAULT 0,
    l9 INTEGER NOT NULL DEFAULT 0, l10 INTEGER NOT NULL DEFAULT 0, l11 INTEGER NOT NULL DEFAULT 0,
    l12 INTEGER NOT NULL DEFAULT 0, l13 INTEGER NOT NULL DEFAULT 0, l14 INTEGER NOT NULL DEFAULT 0,
    l15 INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, minute)
) STRICT, WITHOUT ROWID;

CREATE TABLE webhook_hours (
    webhook INTEGER NOT NULL, hour INTEGER NOT NULL,
    accepted INTEGER NOT NULL DEFAULT 0, success INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0, cancelled INTEGER NOT NULL DEFAULT 0,
    expired INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    attempts_failed INTEGER NOT NULL DEFAULT 0,
    pending INTEGER NOT NULL DEFAULT 0, retrying INTEGER NOT NULL DEFAULT 0, last_at INTEGER,
    l0 INTEGER NOT NULL DEFAULT 0, l1 INTEGER NOT NULL DEFAULT 0, l2 INTEGER NOT NULL DEFAULT 0,
    l3 INTEGER NOT NULL DEFAULT 0, l4 INTEGER NOT NULL DEFAULT 0, l5 INTEGER NOT NULL DEFAULT 0,
    l6 INTEGER NOT NULL DEFAULT 0, l7 INTEGER NOT NULL DEFAULT 0, l8 INTEGER NOT NULL DEFAULT 0,
    l9 INTEGER NOT NULL DEFAULT 0, l10 INTEGER NOT NULL DEFAULT 0, l11 INTEGER NOT NULL DEFAULT 0,
    l12 INTEGER NOT NULL DEFAULT 0, l13 INTEGER NOT NULL DEFAULT 0, l14 INTEGER NOT NULL DEFAULT 0,
    l15 INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (webhook, hour)
) STRICT, WITHOUT ROWID;
