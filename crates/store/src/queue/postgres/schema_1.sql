-- Indexes end with the id by themselves there, and must say so here.
DROP INDEX queue_by_lane;
CREATE INDEX queue_by_lane ON queue (webhook, slot, ready_at, id);
DROP INDEX deliveries_dead;
CREATE INDEX deliveries_dead ON deliveries (tenant, id) WHERE status <> 2;

-- Keys are compared as bytes.
ALTER TABLE seen ALTER COLUMN key TYPE TEXT COLLATE "C";

-- The number of the last batch: after a connection broke at a commit it says whether that was made.
INSERT INTO meta VALUES ('batch', 0);

-- Rows that live for milliseconds: room on their page for the next version, and a vacuum that comes
-- when some hundred are dead instead of a fifth of the largest backlog there ever was.
ALTER TABLE queue SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000);
ALTER TABLE seen SET (autovacuum_vacuum_scale_factor = 0.05);

-- Small rows that every batch updates stay where they are.
ALTER TABLE meta SET (fillfactor = 30);
ALTER TABLE tenant_totals SET (fillfactor = 30);
ALTER TABLE tenant_minutes SET (fillfactor = 50);
ALTER TABLE webhook_hours SET (fillfactor = 50);
ALTER TABLE webhook_health SET (fillfactor = 50);
