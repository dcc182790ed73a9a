//! The tables that batches insert into: described once, so that each database can make of a
//! description the statement that suits it, a cached one for single rows or one for whole columns.

/// Where a row goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Events,
    Queue,
    Directs,
    Deliveries,
    Attempts,
    Seen,
    Unfinished,
    Health,
    DeliveriesByWebhook,
    DeliveriesByEvent,
    DeliveriesByTenant,
    EventsByTenant,
    TenantTotals,
    TenantMinutes,
    WebhookHours,
}

/// How a table is inserted into.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    /// Of the primary key, separated by spaces.
    keys: &'static str,
    pub(crate) on_conflict: OnConflict,
    /// Column names by what they hold, separated by spaces.
    columns: &'static [(Kind, &'static str)],
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Text,
    Blob,
}

/// What becomes of a row whose key is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnConflict {
    /// It is a fault, which fails its transaction.
    Fail,
    /// It takes the place of the other.
    Replace,
    /// It is added to the other, column by column; of `last_at` the later one stays.
    Add,
}

use Kind::{Blob, Int, Text};
use OnConflict::{Add, Fail, Replace};

const COUNTS: &str = "accepted success failed cancelled expired attempts attempts_failed";
const OWED: &str = "pending retrying";
const LATENCY: &str = "l0 l1 l2 l3 l4 l5 l6 l7 l8 l9 l10 l11 l12 l13 l14 l15";

impl Table {
    /// How many there are.
    pub(crate) const COUNT: usize = Self::WebhookHours as usize + 1;

    pub(crate) const fn spec(self) -> &'static Spec {
        match self {
            Self::Events => &Spec {
                name: "events",
                keys: "id",
                on_conflict: Fail,
                columns: &[
                    (Int, "id tenant"),
                    (Text, "client_id type"),
                    (Int, "timestamp"),
                    (Text, "ordering_key"),
                    (Int, "deliver_at expires_at"),
                    (Blob, "data"),
                ],
            },
            Self::Queue => &Spec {
                name: "queue",
                keys: "id",
                on_conflict: Fail,
                columns: &[(
                    Int,
                    "id tenant webhook slot event revision ready_at not_before expires_at attempts \
                     granted job progress_interval",
                )],
            },
            Self::Directs => &Spec {
                name: "directs",
                keys: "delivery",
                on_conflict: Fail,
                columns: &[
                    (Int, "delivery"),
                    (Text, "doc"),
                    (Blob, "secrets body"),
                    (Int, "subject_kind subject"),
                ],
            },
            Self::Deliveries => &Spec {
                name: "deliveries",
                keys: "id",
                on_conflict: Fail,
                columns: &[
                    (Int, "id tenant webhook slot event revision status reason attempts granted"),
                    (Int, "completed_at last_attempt_at response_status"),
                    (Text, "error error_type"),
                    (Int, "duration_ms attempt_revision"),
                    (Text, "signature response_headers response_body"),
                ],
            },
            // Replace: an attempt whose first settlement was withdrawn by a crash of ours is numbered
            // again.
            Self::Attempts => &Spec {
                name: "attempts",
                keys: "delivery number",
                on_conflict: Replace,
                columns: &[
                    (Int, "delivery number started_at duration_ms revision"),
                    (Text, "signature"),
                    (Int, "response_status"),
                    (Text, "response_headers response_body error error_type"),
                    (Int, "retry_at"),
                ],
            },
            Self::Seen => &Spec {
                name: "seen",
                keys: "tenant kind key",
                on_conflict: Fail,
                columns: &[
                    (Int, "tenant kind"),
                    (Text, "key"),
                    (Blob, "fingerprint"),
                    (Int, "event"),
                    (Blob, "answer"),
                    (Int, "created_at"),
                ],
            },
            Self::Unfinished => &Spec {
                name: "unfinished",
                keys: "event",
                on_conflict: Fail,
                columns: &[(Int, "event first last")],
            },
            Self::Health => &Spec {
                name: "webhook_health",
                keys: "webhook",
                on_conflict: Replace,
                columns: &[(Int, "webhook"), (Text, "doc")],
            },
            Self::DeliveriesByWebhook => &Spec {
                name: "deliveries_by_webhook",
                // Replace: among nodes, the run that is being indexed may have it already.
                keys: "webhook id",
                on_conflict: Replace,
                columns: &[(Int, "webhook id status")],
            },
            Self::DeliveriesByEvent => &Spec {
                name: "deliveries_by_event",
                keys: "event webhook id",
                on_conflict: Replace,
                columns: &[(Int, "event webhook id status")],
            },
            Self::DeliveriesByTenant => &Spec {
                name: "deliveries_by_tenant",
                keys: "tenant id",
                on_conflict: Replace,
                columns: &[(Int, "tenant id status")],
            },
            Self::EventsByTenant => &Spec {
                name: "events_by_tenant",
                keys: "tenant id",
                on_conflict: Fail,
                columns: &[(Int, "tenant id")],
            },
            Self::TenantTotals => &Spec {
                name: "tenant_totals",
                keys: "tenant",
                on_conflict: Add,
                columns: &[(Int, "tenant"), (Int, COUNTS), (Int, OWED)],
            },
            Self::TenantMinutes => &Spec {
                name: "tenant_minutes",
                keys: "tenant minute",
                on_conflict: Add,
                columns: &[(Int, "tenant minute"), (Int, COUNTS), (Int, LATENCY)],
            },
            Self::WebhookHours => &Spec {
                name: "webhook_hours",
                keys: "webhook hour",
                on_conflict: Add,
                columns: &[
                    (Int, "webhook hour"),
                    (Int, COUNTS),
                    (Int, OWED),
                    (Int, "last_at"),
                    (Int, LATENCY),
                ],
            },
        }
    }
}

impl Spec {
    /// The columns, in the order of a row's cells.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&'static str, Kind)> {
        self.columns.iter().flat_map(|&(kind, names)| names.split(' ').map(move |n| (n, kind)))
    }

    /// `INSERT INTO name (columns)`, to which the rows are added.
    pub(crate) fn insert(&self) -> String {
        let columns: Vec<&str> = self.columns().map(|(name, _)| name).collect();
        format!("INSERT INTO {} ({})", self.name, columns.join(", "))
    }

    /// What follows the rows; empty when a key that exists is a fault.
    pub(crate) fn on_conflict(&self) -> String {
        if self.on_conflict == Fail {
            return String::new();
        }
        let keys: Vec<&str> = self.keys().collect();
        let values = self.columns().map(|(name, _)| name).filter(|name| !keys.contains(name));
        let sets: Vec<String> = values.map(|column| self.merged(column)).collect();
        format!(" ON CONFLICT ({}) DO UPDATE SET {}", keys.join(", "), sets.join(", "))
    }

    fn merged(&self, column: &str) -> String {
        let table = self.name;
        match (self.on_conflict, column) {
            (Add, "last_at") => format!(
                "last_at = CASE WHEN excluded.last_at > COALESCE({table}.last_at, 0) \
                 THEN excluded.last_at ELSE {table}.last_at END"
            ),
            (Add, _) => format!("{column} = {table}.{column} + excluded.{column}"),
            (Replace | Fail, _) => format!("{column} = excluded.{column}"),
        }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.keys.split(' ')
    }
}
