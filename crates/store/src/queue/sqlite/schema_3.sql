-- Replays: what was missed or ended without success is owed once more, step by step. Small.
CREATE TABLE replays (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    webhook INTEGER NOT NULL,
    doc TEXT NOT NULL,
    rate INTEGER NOT NULL,
    state INTEGER NOT NULL,
    first INTEGER NOT NULL,
    position INTEGER NOT NULL,
    events INTEGER NOT NULL,
    deliveries INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;
CREATE INDEX replays_by_webhook ON replays (webhook);
-- One at a time for each webhook.
CREATE UNIQUE INDEX replays_running ON replays (webhook) WHERE state = 0;

-- By event and webhook: a replay asks what became of an event at one webhook, whatever its fan-out.
ALTER TABLE deliveries_by_event RENAME TO deliveries_by_event_1;
CREATE TABLE deliveries_by_event (
    event INTEGER NOT NULL, webhook INTEGER NOT NULL, id INTEGER NOT NULL, status INTEGER NOT NULL,
    PRIMARY KEY (event, webhook, id)
) STRICT, WITHOUT ROWID;
INSERT INTO deliveries_by_event SELECT i.event, d.webhook, i.id, i.status
    FROM deliveries_by_event_1 i JOIN deliveries d ON d.id = i.id ORDER BY 1, 2, 3;
DROP TABLE deliveries_by_event_1;
