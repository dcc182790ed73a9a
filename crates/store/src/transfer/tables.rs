//! What is taken over: every table but those that follow from the others.

/// A table that is taken over.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) name: &'static str,
    /// All of them, those of the primary key first.
    columns: &'static str,
    /// How many of them are the primary key.
    pub(super) keys: usize,
    /// Which rows `t` are a tenant's, who is `?`. Rows that it looks for elsewhere are moved before.
    of_tenant: &'static str,
}

/// Rows that are copied in one transaction.
const ROWS: u32 = 500;
/// Of those that may hold a mebibyte each.
const LARGE_ROWS: u32 = 50;

const fn table(name: &'static str, keys: usize, columns: &'static str) -> Moved {
    Moved { name, columns, keys, of_tenant: "t.tenant = ?" }
}

const fn part(
    name: &'static str,
    keys: usize,
    columns: &'static str,
    of_tenant: &'static str,
) -> Moved {
    Moved { name, columns, keys, of_tenant }
}

const OF_WEBHOOK: &str =
    "EXISTS (SELECT 1 FROM webhooks w WHERE w.id = t.webhook AND w.tenant = ?)";
const OF_DELIVERY: &str = "(EXISTS (SELECT 1 FROM queue q WHERE q.id = t.delivery AND q.tenant = ?) \
     OR EXISTS (SELECT 1 FROM deliveries d WHERE d.id = t.delivery AND d.tenant = ?))";

pub(super) const TABLES: &[Moved] = &[
    part("tenants", 1, "id name retention_days created_at", "t.id = ?"),
    table("api_keys", 1, "id tenant name hash prefix scopes created_at revoked_at"),
    table("webhooks", 1, "id tenant revision doc secrets created_at updated_at deleted_at"),
    part("webhook_revisions", 2, "webhook revision doc created_at", OF_WEBHOOK),
    part("webhook_health", 1, "webhook doc", OF_WEBHOOK),
    table(
        "events",
        1,
        "id tenant client_id type timestamp ordering_key deliver_at expires_at data",
    ),
    part(
        "unfinished",
        1,
        "event first last",
        "EXISTS (SELECT 1 FROM events e WHERE e.id = t.event AND e.tenant = ?)",
    ),
    table(
        "queue",
        1,
        "id tenant webhook slot event revision ready_at not_before expires_at attempts granted job \
         progress_interval",
    ),
    part(
        "ending",
        1,
        "webhook upto",
        "(EXISTS (SELECT 1 FROM webhooks w WHERE w.id = t.webhook AND w.tenant = ?) \
         OR EXISTS (SELECT 1 FROM queue q WHERE q.webhook = t.webhook AND q.slot IS NOT NULL \
         AND q.tenant = ?))",
    ),
    table(
        "deliveries",
        1,
        "id tenant webhook slot event revision status reason attempts granted completed_at \
         last_attempt_at response_status error error_type duration_ms attempt_revision signature \
         response_headers response_body",
    ),
    part(
        "attempts",
        2,
        "delivery number started_at duration_ms revision signature response_status response_headers \
         response_body error error_type retry_at",
        OF_DELIVERY,
    ),
    part("directs", 1, "delivery doc secrets body subject_kind subject", OF_DELIVERY),
    table("seen", 3, "tenant kind key fingerprint event answer created_at"),
    table(
        "tenant_totals",
        1,
        "tenant accepted success failed cancelled expired attempts attempts_failed pending retrying",
    ),
    table(
        "tenant_minutes",
        2,
        "tenant minute accepted success failed cancelled expired attempts attempts_failed \
         l0 l1 l2 l3 l4 l5 l6 l7 l8 l9 l10 l11 l12 l13 l14 l15",
    ),
    part(
        "webhook_hours",
        2,
        "webhook hour accepted success failed cancelled expired attempts attempts_failed \
         pending retrying last_at l0 l1 l2 l3 l4 l5 l6 l7 l8 l9 l10 l11 l12 l13 l14 l15",
        OF_WEBHOOK,
    ),
    table(
        "replays",
        1,
        "id tenant webhook doc rate state first position events deliveries next_at ended_at",
    ),
    table("inbound", 1, "id tenant source name hash type event"),
    table(
        "jobs",
        1,
        "id tenant version status job_type external_id doc input secret deadline created_at \
         updated_at",
    ),
    part(
        "gates",
        2,
        "webhook job closed_until",
        "EXISTS (SELECT 1 FROM jobs j WHERE j.id = t.job AND j.tenant = ?)",
    ),
    table("executions", 1, "id tenant version outcome doc secret deadline created_at updated_at"),
    part(
        "execution_results",
        2,
        "execution place result",
        "EXISTS (SELECT 1 FROM executions x WHERE x.id = t.execution AND x.tenant = ?)",
    ),
    table("leads", 1, "id tenant name status data updated_at"),
    table("lead_deliveries", 1, "delivery tenant lead"),
];

/// What is not taken over: each installation's own notes, and the indexes that are made of the rest.
#[cfg(test)]
pub(super) const LEFT: &[&str] = &[
    "meta",
    "changed",
    "schema_version",
    "deliveries_by_webhook",
    "deliveries_by_event",
    "deliveries_by_tenant",
    "events_by_tenant",
];

/// Whose rows: one tenant's, or all.
pub(super) type Whose = Option<i64>;

impl Moved {
    pub(super) fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.columns.split_ascii_whitespace()
    }

    pub(super) fn page_rows(&self) -> u32 {
        if self.name == "events" { LARGE_ROWS } else { ROWS }
    }

    fn key(&self) -> impl Iterator<Item = &'static str> {
        self.columns().take(self.keys)
    }

    /// The next rows in the order of their keys; behind a key, when there is one. Its arguments: the key,
    /// the tenant if it is one tenant's, the number of rows.
    pub(super) fn page(&self, behind: bool, whose: Whose) -> String {
        let mut next = 1..;
        let mut mark = || format!("${}", next.next().expect("without end"));
        let mut conditions = Vec::new();
        if behind {
            let marks: Vec<String> = self.key().map(|_| mark()).collect();
            conditions.push(format!("({}) > ({})", self.list(self.key()), marks.join(", ")));
        }
        if whose.is_some() {
            conditions.push(self.of_tenant.replace('?', &mark()));
        }
        let limit = mark();
        let columns = self.list(self.columns());
        let (name, order) = (self.name, self.list(self.key()));
        let conditions = self.such(&conditions);
        format!("SELECT {columns} FROM {name} t{conditions} ORDER BY {order} LIMIT {limit}")
    }

    /// The key of its last row.
    pub(super) fn last(&self, whose: Whose) -> String {
        let order: Vec<String> = self.key().map(|column| format!("t.{column} DESC")).collect();
        let (name, key) = (self.name, self.list(self.key()));
        format!(
            "SELECT {key} FROM {name} t{} ORDER BY {} LIMIT 1",
            self.those(whose),
            order.join(", ")
        )
    }

    pub(super) fn count(&self, whose: Whose) -> String {
        format!("SELECT COUNT(*) FROM {} t{}", self.name, self.those(whose))
    }

    /// Inserts so many rows. A tenant may be there already: there is one to begin with.
    pub(super) fn insert(&self, rows: usize) -> String {
        let columns: Vec<&str> = self.columns().collect();
        let row = |n: usize| {
            let marks = (1..=columns.len()).map(|m| format!("${}", n * columns.len() + m));
            format!("({})", marks.collect::<Vec<_>>().join(", "))
        };
        let rows: Vec<String> = (0..rows).map(row).collect();
        let conflict = if self.name == "tenants" {
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
             retention_days = excluded.retention_days, created_at = excluded.created_at"
        } else {
            ""
        };
        let (name, rows) = (self.name, rows.join(", "));
        format!("INSERT INTO {name} ({}) VALUES {rows}{conflict}", columns.join(", "))
    }

    fn those(&self, whose: Whose) -> String {
        let of = whose.map(|_| self.of_tenant.replace('?', "$1"));
        self.such(of.as_slice())
    }

    fn such(&self, conditions: &[String]) -> String {
        if conditions.is_empty() {
            return String::new();
        }
        format!(" WHERE {}", conditions.join(" AND "))
    }

    fn list<'c>(&self, columns: impl Iterator<Item = &'c str>) -> String {
        columns.map(|column| format!("t.{column}")).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::queue::sqlite::MIGRATIONS;

    /// Whoever adds a table or a column decides here whether it moves.
    #[test]
    fn every_table_is_moved_whole_or_left_on_purpose() {
        let file = Connection::open_in_memory().expect("opens");
        MIGRATIONS.iter().for_each(|sql| file.execute_batch(sql).expect("sound"));
        let strings = |sql: &str| -> Vec<String> {
            let mut statement = file.prepare(sql).expect("sound");
            let rows = statement.query_map([], |row| row.get(0)).expect("read");
            rows.collect::<Result<_, _>>().expect("read")
        };
        for name in strings("SELECT name FROM sqlite_master WHERE type = 'table'") {
            let table = TABLES.iter().find(|table| table.name == name);
            let Some(table) = table else {
                assert!(LEFT.contains(&name.as_str()), "is {name} moved?");
                continue;
            };
            let mut columns = strings(&format!("SELECT name FROM pragma_table_info('{name}')"));
            // Each installation's maintenance marks what waits in its queue.
            columns.retain(|column| column != "aged");
            let mut moved: Vec<_> = table.columns().collect();
            assert_eq!(moved.len(), columns.len(), "{name}: {columns:?}");
            let keys =
                format!("SELECT name FROM pragma_table_info('{name}') WHERE pk > 0 ORDER BY pk");
            assert_eq!(strings(&keys), moved[..table.keys], "{name}");
            moved.retain(|column| !columns.iter().any(|there| there == column));
            assert!(moved.is_empty(), "{name}: {moved:?}");
        }
    }
}
