-- History by day, the second step: tables become partitioned ones, of which each is the first partition.
-- No row is copied. Partitions are named by the days that they begin and end with, counted from 1970;
-- `postgres/days.rs` makes and drops them. What is of no day that there is (an id of a clock that is
-- ahead, or of long ago) finds its place in `…_rest`.
DO $$
DECLARE
    bound TEXT;
    first TEXT;
    pkey TEXT;
    part RECORD;
BEGIN
    SELECT conname INTO bound FROM pg_constraint
        WHERE conrelid = 'events'::REGCLASS AND conname LIKE 'before\_%';
    IF bound IS NOT NULL THEN
        FOR part IN SELECT conrelid::REGCLASS AS name FROM pg_constraint WHERE conname = bound
        LOOP
            EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT %I', part.name, bound);
        END LOOP;
    END IF;
    -- What ended more than an hour after it was accepted, and deliveries made more than an hour after
    -- their event: what keeps a day is found without reading the day. Here, so that the locks of what
    -- follows are held for moments.
    CREATE INDEX first_late ON deliveries (completed_at)
        WHERE completed_at > (id >> 22) + 1577836800000 + 3600000;
    CREATE INDEX first_event_late ON deliveries_by_event (event) WHERE id - event > 15099494400000;
    FOR part IN SELECT * FROM (VALUES ('events', 'id', 'id'), ('events_by_tenant', 'id', 'tenant, id'),
        ('deliveries_by_event', 'event', 'event, webhook, id'), ('deliveries', 'id', 'id'),
        ('attempts', 'delivery', 'delivery, number'), ('deliveries_by_webhook', 'id', 'webhook, id'),
        ('deliveries_by_tenant', 'id', 'tenant, id')) AS t (name, key, keys)
    LOOP
        first := part.name || '_0_' || COALESCE(substr(bound, 8), '0');
        SELECT conname INTO pkey FROM pg_constraint
            WHERE conrelid = part.name::REGCLASS AND contype = 'p';
        EXECUTE format('ALTER TABLE %I RENAME CONSTRAINT %I TO %I', part.name, pkey, first || '_pkey');
        EXECUTE format('ALTER TABLE %I RENAME TO %I', part.name, first);
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING STORAGE, '
            'CONSTRAINT %I PRIMARY KEY (%s)) PARTITION BY RANGE (%I)',
            part.name, first, part.name || '_pkey', part.keys, part.key);
        IF part.name = 'deliveries' THEN
            ALTER INDEX deliveries_dead RENAME TO first_dead;
            CREATE INDEX deliveries_dead ON deliveries (tenant, id) WHERE status <> 2;
            CREATE INDEX deliveries_late ON deliveries (completed_at)
                WHERE completed_at > (id >> 22) + 1577836800000 + 3600000;
        ELSIF part.name = 'deliveries_by_event' THEN
            CREATE INDEX deliveries_by_event_late ON deliveries_by_event (event)
                WHERE id - event > 15099494400000;
        END IF;
        EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', part.name || '_rest', part.name);
        IF bound IS NULL THEN
            EXECUTE format('DROP TABLE %I', first);
        ELSE
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (0) TO (%s)', part.name,
                first, (substr(bound, 8)::BIGINT * 86400000 - 1577836800000) << 22);
            EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', first, bound);
        END IF;
    END LOOP;
END $$;
