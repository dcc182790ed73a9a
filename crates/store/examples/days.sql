-- Ten million finished deliveries in the ten days before today, in a database that Tidings has opened:
--
--     psql -d DATABASE -v days=10 -v per_day=1000000 -f crates/store/examples/days.sql
--
-- A delivery for each event of 256 bytes, of 100 tenants with ten webhooks each; one in fifty is a dead letter
-- after three attempts. Then `commit_cost -- postgres://…` measures beside it.
SET synchronous_commit = off;
SET max_parallel_workers_per_gather = 0;
CREATE TEMP TABLE wanted AS
    SELECT (EXTRACT(EPOCH FROM clock_timestamp()) / 86400)::BIGINT - n AS day FROM generate_series(1, :days) n;
CREATE TEMP TABLE of_day AS SELECT :per_day::BIGINT AS rows;
DO $$
DECLARE
    part RECORD;
    d RECORD;
    n BIGINT := (SELECT rows FROM of_day);
    first BIGINT;
BEGIN
    FOR d IN SELECT day FROM wanted ORDER BY day LOOP
        FOR part IN SELECT * FROM (VALUES ('events'), ('events_by_tenant'), ('deliveries_by_event'),
            ('deliveries'), ('attempts'), ('deliveries_by_webhook'), ('deliveries_by_tenant')) AS t (name)
        LOOP
            EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF %I FOR VALUES FROM (%s) TO (%s)',
                part.name || '_' || d.day || '_' || d.day + 1, part.name,
                (d.day * 86400000 - 1577836800000) << 22, ((d.day + 1) * 86400000 - 1577836800000) << 22);
        END LOOP;
        first := d.day * 86400000 - 1577836800000;
        CREATE TEMP TABLE made ON COMMIT DROP AS
            SELECT (first + i * 86400000 / n) << 22 AS id, i % 100 + 1 AS tenant,
                (((i * 7919) % 1000 + 1) << 40) + i % 100 AS webhook, i % 50 = 0 AS is_dead,
                first + 1577836800000 + i * 86400000 / n AS at
            FROM generate_series(0, n - 1) i;
        INSERT INTO events SELECT id, tenant, NULL, 'job.completed', at, NULL, NULL, NULL,
            convert_to(repeat('x', 256), 'UTF8') FROM made;
        INSERT INTO deliveries SELECT id + 1, tenant, webhook, 0, id, 1, CASE WHEN is_dead THEN 3 ELSE 2 END,
            CASE WHEN is_dead THEN 1 ELSE 0 END, CASE WHEN is_dead THEN 3 ELSE 1 END, 0, at + 40, at + 10,
            CASE WHEN is_dead THEN 500 ELSE 200 END, CASE WHEN is_dead THEN 'HTTP 500' ELSE '' END,
            CASE WHEN is_dead THEN 'http' ELSE '' END, CASE WHEN is_dead THEN NULL ELSE 12 END, 1,
            'v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=',
            E'content-type: application/json\ncontent-length: 15\n', '{"success":true}' FROM made;
        INSERT INTO attempts SELECT id + 1, number, at, 12, 1,
            'v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=', 500, '', '', 'HTTP 500', 'http', NULL
            FROM made, generate_series(1, 3) number WHERE is_dead;
        INSERT INTO events_by_tenant SELECT tenant, id FROM made ORDER BY tenant, id;
        INSERT INTO deliveries_by_event SELECT id, webhook, id + 1, CASE WHEN is_dead THEN 3 ELSE 2 END FROM made;
        INSERT INTO deliveries_by_webhook SELECT webhook, id + 1, CASE WHEN is_dead THEN 3 ELSE 2 END
            FROM made ORDER BY webhook, id;
        INSERT INTO deliveries_by_tenant SELECT tenant, id + 1, CASE WHEN is_dead THEN 3 ELSE 2 END
            FROM made ORDER BY tenant, id;
        UPDATE meta SET value = GREATEST(value, (SELECT MAX(id) + 1 FROM made))
            WHERE key IN ('deliveries_indexed', 'events_indexed', 'deliveries_late', 'events_late');
        COMMIT;
        DROP TABLE IF EXISTS made;
    END LOOP;
END $$;
ANALYZE;
