-- Indexes end with the id by themselves there, and must say so here.
DROP INDEX queue_by_event, queue_retried_by_tenant, queue_retried_by_webhook, queue_aged_by_tenant,
    queue_aged_by_webhook;
CREATE INDEX queue_by_event ON queue (event, id);
CREATE INDEX queue_retried_by_tenant ON queue (tenant, id) WHERE attempts > 0;
CREATE INDEX queue_retried_by_webhook ON queue (webhook, id) WHERE attempts > 0;
CREATE INDEX queue_aged_by_tenant ON queue (tenant, id) WHERE attempts = 0 AND aged = 1;
CREATE INDEX queue_aged_by_webhook ON queue (webhook, id) WHERE attempts = 0 AND aged = 1;
INSERT INTO meta VALUES ('queue_late', 0);
