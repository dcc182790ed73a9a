//! Follows deliveries through the API: what is new, what was tried, what ended.
//!
//! Ids are given before they are committed, so a delivery can appear behind one that has been seen.
//! Every look therefore reads back some seconds behind the newest, and remembers what it has told.

use std::collections::BTreeMap;
use std::mem::take;

use anyhow::Result;
use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidings_core::delivery::Status;

use super::client::{Api, Call, Failure, path};

/// How far behind the newest delivery a look reads, milliseconds.
const LOOK_BACK_MS: i64 = 3_000;
/// Older ones that are still owed are asked for one by one, so many at a look.
const ASKED_AT_ONCE: usize = 50;
/// How many older ones are followed from the start.
const OWED_AT_START: u32 = 250;

/// A delivery, as far as it is followed.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Delivery {
    pub id: String,
    pub webhook_id: Option<String>,
    pub event_id: String,
    pub event_type: Option<String>,
    pub status: Status,
    pub attempt_count: u16,
    pub created_at: i64,
}

/// A delivery that has moved.
#[derive(Debug)]
pub(super) struct Moved {
    pub delivery: Delivery,
    /// As the server told it.
    pub raw: Box<RawValue>,
    /// Attempts that were known before.
    pub known_attempts: u16,
}

#[derive(Debug)]
struct Known {
    created_at: i64,
    attempts: u16,
    ended: bool,
    /// Number of the look that saw it last.
    look: u64,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Follower {
    known: BTreeMap<String, Known>,
    /// Looks read what was created since.
    since: i64,
    looks: u64,
    /// Seen and not told yet: a look that broke off in the middle loses nothing.
    moved: Vec<Moved>,
}

impl Follower {
    /// Takes what there is now as known; what is still owed is followed.
    pub(super) async fn from_now(api: &Api) -> Result<Self> {
        let mut follower = Self::default();
        let all = || Call::get(path(["deliveries"]));
        let mut before = api.list(&all(), OWED_AT_START).await?;
        for status in [Status::Pending, Status::Retrying] {
            let owed = all().query("status", Some(status.as_str()));
            before.extend(api.list(&owed, OWED_AT_START).await?);
        }
        follower.take(before)?;
        follower.moved.clear();
        follower.look_further();
        Ok(follower)
    }

    /// What has moved since the last look. When it fails, the next look tells it as well.
    pub(super) async fn look(&mut self, api: &Api) -> Result<Vec<Moved>> {
        self.looks += 1;
        let since = Some(self.since).filter(|&since| since > 0);
        let recent = Call::get(path(["deliveries"])).query("since", since);
        self.take(api.list(&recent, u32::MAX).await?)?;
        for id in self.unseen() {
            match api.call(Call::get(path(["deliveries", &id]))).await {
                Ok(answer) => self.take(vec![answer.data()?])?,
                Err(error) if is_gone(&error) => drop(self.known.remove(&id)),
                Err(error) => return Err(error),
            }
        }
        self.look_further();
        Ok(take(&mut self.moved))
    }

    /// Those that are still owed.
    pub(super) fn owed(&self) -> usize {
        self.known.values().filter(|known| !known.ended).count()
    }

    /// Owed ones that the look did not see, those first that were not seen for longest.
    fn unseen(&self) -> Vec<String> {
        let mut unseen: Vec<(&String, &Known)> = self
            .known
            .iter()
            .filter(|(_, known)| !known.ended && known.look != self.looks)
            .collect();
        unseen.sort_by_key(|(_, known)| known.look);
        unseen.into_iter().take(ASKED_AT_ONCE).map(|(id, _)| id.clone()).collect()
    }

    fn take(&mut self, items: Vec<Box<RawValue>>) -> Result<()> {
        // Lists are newest first.
        for raw in items.into_iter().rev() {
            let delivery: Delivery = serde_json::from_str(raw.get())?;
            let ended = delivery.status.is_final();
            let now = Known {
                created_at: delivery.created_at,
                attempts: delivery.attempt_count,
                ended,
                look: self.looks,
            };
            let before = self.known.insert(delivery.id.clone(), now);
            let (known_attempts, was_ended) =
                before.map_or((0, false), |before| (before.attempts, before.ended));
            if known_attempts != delivery.attempt_count || was_ended != ended {
                self.moved.push(Moved { delivery, raw, known_attempts });
            }
        }
        Ok(())
    }

    /// The next look begins behind the newest; what has ended before is forgotten.
    fn look_further(&mut self) {
        let newest = self.known.values().map(|known| known.created_at).max();
        self.since = newest.map_or(self.since, |newest| self.since.max(newest - LOOK_BACK_MS));
        let since = self.since;
        self.known.retain(|_, known| !known.ended || known.created_at >= since);
    }
}

/// Past its retention.
fn is_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Failure>().is_some_and(|failure| failure.status == StatusCode::NOT_FOUND)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, status: &str, attempts: u16, created_at: i64) -> Box<RawValue> {
        let text = format!(
            r#"{{"id":"{id}","webhook_id":"wh_1","event_id":"e","event_type":"a.b","status":"{status}",
                "attempt_count":{attempts},"created_at":{created_at}}}"#
        );
        RawValue::from_string(text).unwrap()
    }

    fn told(follower: &mut Follower) -> Vec<(String, u16)> {
        let moved = take(&mut follower.moved).into_iter();
        moved.map(|moved| (moved.delivery.id, moved.known_attempts)).collect()
    }

    #[test]
    fn each_move_is_told_once_in_order() {
        let mut follower = Follower::default();
        let first = vec![item("d2", "retrying", 1, 20_002), item("d1", "success", 1, 20_001)];
        follower.take(first).unwrap();
        assert_eq!(told(&mut follower), [("d1".to_owned(), 0), ("d2".to_owned(), 0)]);
        follower.look_further();
        assert_eq!(follower.owed(), 1);
        // d0 was committed after d2 though its id is smaller.
        let second = vec![
            item("d2", "success", 2, 20_002),
            item("d1", "success", 1, 20_001),
            item("d0", "success", 1, 20_000),
        ];
        follower.take(second).unwrap();
        assert_eq!(told(&mut follower), [("d0".to_owned(), 0), ("d2".to_owned(), 1)]);
        assert_eq!(follower.owed(), 0);
    }

    #[test]
    fn what_has_ended_long_ago_is_forgotten_and_what_is_owed_is_not() {
        let mut follower = Follower::default();
        follower.take(vec![item("d2", "pending", 0, 1), item("d1", "success", 1, 1)]).unwrap();
        follower.look_further();
        follower.looks += 1;
        follower.take(vec![item("d9", "success", 1, 60_000)]).unwrap();
        assert_eq!(follower.unseen(), ["d2"]);
        follower.look_further();
        assert_eq!(follower.since, 57_000);
        assert_eq!(follower.known.keys().collect::<Vec<_>>(), ["d2", "d9"]);
    }
}
