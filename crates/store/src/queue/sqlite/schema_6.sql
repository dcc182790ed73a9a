-- Leads, and which direct deliveries hand them over. A lead's status changes in the transaction in which
-- its delivery ends.

CREATE TABLE leads (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    name TEXT NOT NULL,
    status INTEGER NOT NULL,
    data TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX leads_by_name ON leads (tenant, name);
CREATE INDEX leads_by_tenant ON leads (tenant, id);

CREATE TABLE lead_deliveries (
    delivery INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    lead INTEGER NOT NULL
) STRICT;
CREATE INDEX lead_deliveries_by_tenant ON lead_deliveries (tenant, delivery);
