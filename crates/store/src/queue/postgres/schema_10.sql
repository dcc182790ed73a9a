-- History by day, the first of two steps. What a table has is to be its first partition, up to a bound
-- that lies two days ahead. That nothing lies beyond it is proved in the next step, by reading the table
-- once while others go on writing. An empty database needs none of it.
DO $$
DECLARE
    largest BIGINT;
    day BIGINT;
    part RECORD;
BEGIN
    SELECT MAX(id) INTO largest FROM (SELECT MAX(id) AS id FROM events UNION ALL
        SELECT MAX(id) FROM deliveries UNION ALL SELECT MAX(delivery) FROM attempts UNION ALL
        SELECT MAX(id) FROM queue) x;
    IF largest IS NULL THEN
        RETURN;
    END IF;
    day := GREATEST((largest >> 22) + 1577836800000,
        (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT) / 86400000 + 2;
    FOR part IN SELECT * FROM (VALUES ('events', 'id'), ('events_by_tenant', 'id'),
        ('deliveries_by_event', 'event'), ('deliveries', 'id'), ('attempts', 'delivery'),
        ('deliveries_by_webhook', 'id'), ('deliveries_by_tenant', 'id')) AS t (name, key)
    LOOP
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK (%I < %s) NOT VALID', part.name,
            'before_' || day, part.key, (day * 86400000 - 1577836800000) << 22);
    END LOOP;
END $$;
