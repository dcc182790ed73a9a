-- What was received. By its sender's name for it and by the hash of its bytes it is known again.
CREATE TABLE inbound (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    source TEXT NOT NULL,
    name TEXT,
    hash BLOB,
    type TEXT NOT NULL,
    event INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX inbound_by_name ON inbound (tenant, source, name) WHERE name IS NOT NULL;
CREATE UNIQUE INDEX inbound_by_hash ON inbound (tenant, source, hash) WHERE hash IS NOT NULL;
-- Ends with the id, as every index does.
CREATE INDEX inbound_by_tenant ON inbound (tenant);
