//! What is asked of the committer besides publications and settlements, and what it answers.

use tidings_core::delivery::Owed;
use tidings_core::id::{DeliveryId, TenantId, WebhookId};
use tidings_core::publication::{IdempotencyKey, Publication, Published};

use crate::value::Value;

/// What a publisher is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishAnswer {
    /// One for each event, in the order given.
    pub events: Vec<Published>,
    /// The idempotency key was seen before: this is the answer that was given then.
    pub replayed: bool,
}

/// One statement of a change, in the SQL that all databases share.
#[derive(Debug, Clone)]
pub struct Statement {
    pub sql: &'static str,
    pub args: Vec<Value>,
    /// Rows that it must change; else the whole change is a [`crate::WriteError::Conflict`].
    pub expect: Option<usize>,
}

impl Statement {
    /// A statement that may change any number of rows.
    #[must_use]
    pub fn new(sql: &'static str, args: Vec<Value>) -> Self {
        Self { sql, args, expect: None }
    }

    /// A statement that must change exactly `rows` rows.
    #[must_use]
    pub fn expecting(rows: usize, sql: &'static str, args: Vec<Value>) -> Self {
        Self { sql, args, expect: Some(rows) }
    }
}

/// A change of the catalogue or of a state machine, with the events that tell of it: all or nothing.
#[derive(Debug, Clone, Default)]
pub struct Change {
    pub key: Option<ChangeKey>,
    pub statements: Vec<Statement>,
    pub publications: Vec<Publication>,
    /// New deliveries of events that there are; when one of the events is gone it is a conflict.
    pub owed: Vec<Owed>,
    /// The version of the catalogue that the publications were planned with, if it matters.
    pub planned_at: Option<i64>,
}

/// Makes a creating request idempotent.
#[derive(Debug, Clone)]
pub struct ChangeKey {
    pub tenant: TenantId,
    pub key: IdempotencyKey,
    /// Of what is made; a repetition is answered with the ids of the first time.
    pub ids: Vec<i64>,
}

impl From<Vec<Statement>> for Change {
    fn from(statements: Vec<Statement>) -> Self {
        Self { statements, ..Self::default() }
    }
}

/// The answer to a change that was made, or that had been made before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangeAnswer {
    /// The ids of the first time, when its key was seen before: this time changed nothing.
    pub replayed: Option<Vec<i64>>,
    /// Rows changed, by statement.
    pub rows: Vec<usize>,
    /// One for each publication.
    pub published: Vec<PublishAnswer>,
}

/// What people do with deliveries.
#[derive(Debug, Clone)]
pub enum Control {
    /// Sends an ended delivery again, at once, with `more` attempts beyond those made. One that is
    /// still owed is [`crate::WriteError::StillOwed`].
    RetryNow { tenant: TenantId, delivery: DeliveryId, more: u16 },
    /// Ends an owed delivery as cancelled. One that has ended is [`crate::WriteError::Conflict`].
    Cancel { tenant: TenantId, delivery: DeliveryId },
    /// Ends what is queued now for a webhook that is gone or inactive, in maintenance steps. A
    /// change that deletes or switches off a webhook contains the same as a statement; asking once
    /// more after the publishers know of it catches what they had planned meanwhile.
    EndDeliveries { webhook: WebhookId },
}
