-- Ids come by themselves, as they do in SQLite.
ALTER TABLE tallies ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY;
-- Each row lives for a second.
ALTER TABLE tallies SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
