-- A row of the queue is found by its id through the primary key and nothing else. Where PostgreSQL takes the
-- queue for empty, as after a vacuum that found it so, all ways cost the same to it, and these indexes know
-- the id as well: a look at one row then read one of them from end to end. So they are for those only who
-- name an event, or a slot.
DROP INDEX queue_by_event, queue_by_lane;
CREATE INDEX queue_by_event ON queue (event, id) WHERE event IS NOT NULL;
CREATE INDEX queue_by_lane ON queue (webhook, slot, ready_at, id) WHERE slot IS NOT NULL;
