//! The shared statements: one text for every database.

use tidings_core::id::{TenantId, WebhookId};

use super::world::{Factory, World};
use crate::queue::{batch, postgres, reads};
use crate::{Value, catalogue, history, leads, sources};

fn statements() -> Vec<String> {
    let fixed = catalogue::statements().chain(reads::SQL.iter().chain(leads::SQL).copied());
    let composed =
        history::statements().into_iter().chain(leads::shapes()).chain(sources::statements());
    fixed.map(str::to_owned).chain(composed).collect()
}

/// What the path of a delivery and the lists ask for, for a look at its plans: the shared statements that
/// read, and those of a batch on PostgreSQL.
pub fn hot_statements() -> Vec<String> {
    let reads =
        statements().into_iter().filter(|sql| sql.starts_with("SELECT") || sql.starts_with("WITH"));
    reads.chain(postgres::HOT.iter().map(|&sql| sql.to_owned())).collect()
}

/// What the path of a delivery asks of the queue or does to it, on PostgreSQL.
pub fn queue_statements() -> Vec<String> {
    let all = reads::SQL.iter().chain(postgres::HOT).chain(batch::OF_QUEUE);
    all.filter(|sql| sql.contains(" queue ")).map(|&sql| sql.to_owned()).collect()
}

/// What marks rows of the queue that have waited, and what writes down how far.
#[must_use]
pub fn postgres_aging() -> [&'static str; 2] {
    batch::AGING
}

/// What holds for every session on PostgreSQL.
#[must_use]
pub fn postgres_session() -> &'static str {
    postgres::SESSION
}

/// What a PostgreSQL database of an older version was made by.
#[must_use]
pub fn postgres_schema(version: i64) -> String {
    postgres::script(version)
}

/// The lists of deliveries of a tenant, and of a webhook of it, with their arguments.
pub fn lists(tenant: TenantId, webhook: WebhookId) -> Vec<(String, Vec<Value>)> {
    let all = history::deliveries::lists(tenant, webhook).into_iter();
    all.map(|query| (query.sql, query.args)).collect()
}

/// Each prepares, numbers its arguments in the order of their appearance (SQLite takes them by it),
/// and keeps to what all databases have in common.
pub async fn shared_statements_prepare(factory: &dyn Factory) {
    let world = World::new(factory);
    let all = statements();
    assert!(all.len() > 40);
    for sql in all {
        let mut highest = 0;
        for mark in sql.split('$').skip(1) {
            let digits: String = mark.chars().take_while(char::is_ascii_digit).collect();
            let number: usize = digits.parse().expect("a number after $");
            assert!(number <= highest + 1, "arguments out of order: {sql}");
            highest = highest.max(number);
        }
        let args = vec![Value::Null; highest];
        if let Err(error) = world.store.rows(format!("EXPLAIN {sql}"), args).await {
            panic!("{error}: {sql}");
        }
        let lower = sql.to_lowercase();
        for foreign in ["::", "cast(", "now()", "->", "array[", "?", "ifnull", "rowid", "pragma"] {
            assert!(!lower.contains(foreign), "{foreign} is not shared: {sql}");
        }
    }
}
