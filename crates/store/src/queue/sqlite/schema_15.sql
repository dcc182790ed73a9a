-- What expires while nothing calls for it is found by this; most rows have no such moment and are not in it.
CREATE INDEX queue_by_expiry ON queue (expires_at) WHERE expires_at IS NOT NULL;
