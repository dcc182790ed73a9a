-- Direct deliveries: what they bring along, kept as long as they are. Their rows elsewhere name their
-- lane where others name a webhook, and revision 0.

CREATE TABLE directs (
    delivery INTEGER PRIMARY KEY,
    doc TEXT NOT NULL,
    secrets BLOB NOT NULL,
    body BLOB,
    subject_kind INTEGER,
    subject INTEGER
) STRICT;
-- Ends with the delivery, as every index does.
CREATE INDEX directs_by_subject ON directs (subject_kind, subject) WHERE subject IS NOT NULL;
