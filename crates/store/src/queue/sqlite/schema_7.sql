-- The version of the catalogue, and at which of them each part last changed: so that several nodes on
-- one database notice. Here there is one node, and nobody reads it.
INSERT INTO meta VALUES ('catalogue', 0);
CREATE TABLE changed (
    kind INTEGER NOT NULL,
    id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX changed_by_version ON changed (version);
