-- A node that only serves the API owns no shards, and has no share in them.
ALTER TABLE nodes ADD COLUMN owns BIGINT NOT NULL DEFAULT 1;
