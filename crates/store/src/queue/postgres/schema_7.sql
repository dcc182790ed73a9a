-- Several nodes. A number is part of the ids that its node makes; the incarnation is raised by each
-- process that takes it.
CREATE TABLE nodes (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    incarnation BIGINT NOT NULL,
    heartbeat BIGINT NOT NULL,
    lease BIGINT NOT NULL
);
-- The number of a node's last batch: after a connection broke at a commit it says whether that was
-- made. Apart from the heartbeat, so that the two never wait for each other.
CREATE TABLE node_batches (node BIGINT PRIMARY KEY, number BIGINT NOT NULL);
DELETE FROM meta WHERE key = 'batch';

CREATE TABLE shards (
    id BIGINT PRIMARY KEY,
    holder BIGINT,
    epoch BIGINT NOT NULL,
    was_cut_off BIGINT NOT NULL
);
INSERT INTO shards SELECT n, NULL, 1, 0 FROM generate_series(0, 255) AS s (n);

-- One row for each batch that others must hear of; by the transaction that wrote it.
CREATE TABLE journal (
    xact BIGINT PRIMARY KEY DEFAULT (pg_current_xact_id()::TEXT::BIGINT),
    node BIGINT NOT NULL,
    news BYTEA NOT NULL
);

-- Up to these ids whoever writes a row indexes it itself: the sorted indexes are about to be complete
-- up to there.
INSERT INTO meta VALUES ('deliveries_late', 0), ('events_late', 0);
UPDATE meta SET value = (SELECT value FROM meta WHERE key = 'deliveries_indexed')
    WHERE key = 'deliveries_late';
UPDATE meta SET value = (SELECT value FROM meta WHERE key = 'events_indexed')
    WHERE key = 'events_late';

-- Each node counts in rows of its own: two that added to one row would wait for each other's commit.
ALTER TABLE tenant_totals ADD COLUMN node BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tenant_totals DROP CONSTRAINT tenant_totals_pkey;
ALTER TABLE tenant_totals ADD PRIMARY KEY (tenant, node);
ALTER TABLE tenant_minutes ADD COLUMN node BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tenant_minutes DROP CONSTRAINT tenant_minutes_pkey;
ALTER TABLE tenant_minutes ADD PRIMARY KEY (tenant, minute, node);
ALTER TABLE webhook_hours ADD COLUMN node BIGINT NOT NULL DEFAULT 0;
ALTER TABLE webhook_hours DROP CONSTRAINT webhook_hours_pkey;
ALTER TABLE webhook_hours ADD PRIMARY KEY (webhook, hour, node);

-- Small tables that live for long and change all the time.
ALTER TABLE nodes SET (fillfactor = 30);
ALTER TABLE node_batches SET (fillfactor = 30);
ALTER TABLE shards SET (fillfactor = 30);
ALTER TABLE journal SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
