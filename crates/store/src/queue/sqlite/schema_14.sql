-- What each batch has counted for webhooks (store, tally.rs), until it is added up in webhook_hours: within
-- a second or so.
CREATE TABLE tallies (id INTEGER PRIMARY KEY, counts BLOB NOT NULL) STRICT;
