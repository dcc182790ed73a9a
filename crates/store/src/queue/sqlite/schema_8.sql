-- Lists of what is owed. Rows that were retried have indexes of their own, which cost a first attempt
-- nothing. What has waited for some seconds is marked by maintenance, up to the id in meta, and found by
-- what marks it; what is younger is read by its id. Two indexes of every row cost 1 µs of 7 here, and 4 µs
-- of 35 on PostgreSQL.
ALTER TABLE queue ADD COLUMN aged INTEGER;
CREATE INDEX queue_retried_by_tenant ON queue (tenant) WHERE attempts > 0;
CREATE INDEX queue_retried_by_webhook ON queue (webhook) WHERE attempts > 0;
CREATE INDEX queue_aged_by_tenant ON queue (tenant) WHERE attempts = 0 AND aged = 1;
CREATE INDEX queue_aged_by_webhook ON queue (webhook) WHERE attempts = 0 AND aged = 1;
INSERT INTO meta VALUES ('queue_aged', 0);
