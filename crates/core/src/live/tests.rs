use super::*;
use crate::id::{IdSource, TenantId};
use crate::time::Timestamp;

struct Source(IdSource, i64);

impl Source {
    fn new() -> Self {
        Self(IdSource::new(0, 0), 1_795_362_000_000)
    }

    /// An event so many milliseconds after the one before.
    fn event_after(&mut self, ms: i64, data: &'static str) -> Arc<Event> {
        self.1 += ms;
        let now = Timestamp::from_millis(self.1);
        Arc::new(Event {
            id: self.0.next(now),
            tenant: TenantId::from_i64(1),
            client_id: None,
            event_type: "job.completed".into(),
            timestamp: now,
            ordering_key: None,
            deliver_at: None,
            expires_at: None,
            data: data.into(),
        })
    }

    fn events(&mut self, count: usize) -> Vec<Arc<Event>> {
        (0..count).map(|_| self.event_after(10_000, "{}")).collect()
    }
}

fn ids<'e>(events: impl IntoIterator<Item = &'e Arc<Event>>) -> Vec<EventId> {
    events.into_iter().map(|event| event.id).collect()
}

fn heard(history: &History, place: Place) -> Option<Vec<EventId>> {
    Some(history.from(place)?.map(|entry| entry.event.id).collect())
}

fn of(events: &[Arc<Event>]) -> History {
    let mut history = History::default();
    events.iter().for_each(|event| history.push(Arc::clone(event)));
    history
}

#[test]
fn listeners_read_from_their_places_until_they_are_too_slow() {
    let mut source = Source::new();
    let mut history = History::default();
    let start = history.end();
    let events = source.events(LIVE_EVENTS_MAX);
    events.iter().for_each(|event| history.push(Arc::clone(event)));
    assert_eq!(heard(&history, start), Some(ids(&events)));
    assert_eq!(heard(&history, history.end()), Some(Vec::new()));
    history.push(source.event_after(1, "{}"));
    assert_eq!(heard(&history, start), None);
    assert_eq!(heard(&history, start + 1).map(|heard| heard.len()), Some(LIVE_EVENTS_MAX));
}

#[test]
fn large_events_leave_room_for_fewer() {
    let mut source = Source::new();
    let large: &'static str = Box::leak(" ".repeat(LIVE_BYTES_MAX / 5).into_boxed_str());
    let mut history = History::default();
    for _ in 0..9 {
        history.push(source.event_after(1, large));
        assert!(history.bytes() <= LIVE_BYTES_MAX);
    }
    history.shrink(0);
    assert_eq!(heard(&history, history.end() - 1).map(|heard| heard.len()), Some(1));
    assert_eq!(heard(&history, history.end() - 2), None);
}

#[test]
fn what_was_heard_here_resumes_exactly_in_commit_order() {
    let mut events = Source::new().events(3);
    // Committed behind one with a larger id.
    events.swap(0, 1);
    let history = of(&events);
    let resumed = history.resume(events[0].id).expect("it is here");
    assert_eq!((heard(&history, resumed.at), resumed.gap), (Some(ids(&events[1..])), false));
}

#[test]
fn what_is_older_is_resumed_by_id_after_a_look_into_the_store() {
    let mut source = Source::new();
    let mut events = source.events(4);
    events.extend([source.event_after(300, "{}"), source.event_after(300, "{}")]);
    let mut history = of(&events[5..]);
    assert_eq!(history.resume(events[2].id), None);
    history.prime(events[1..].iter().rev().cloned(), false);
    let after = |last: EventId| {
        let resumed = history.resume(last).expect("it is primed");
        (heard(&history, resumed.at).expect("it is here"), resumed.gap)
    };
    assert_eq!(after(events[2].id), (ids(&events[2..]), false));
    // What is about as old comes again: it may have been committed later.
    assert_eq!(after(events[4].id), (ids(&events[3..]), false));
    assert_eq!(after(events[5].id), (Vec::new(), false));
    assert_eq!(after(events[0].id), (ids(&events[1..]), true));
}

#[test]
fn what_was_read_from_the_store_and_is_told_as_well_is_there_once() {
    let events = Source::new().events(3);
    let mut history = of(&events[1..2]);
    history.prime(events.iter().rev().cloned(), false);
    // In the order of their places: the store's first.
    assert_eq!(heard(&history, history.first), Some(ids([&events[0], &events[2], &events[1]])));
    history.push(Arc::clone(&events[2]));
    assert_eq!(history.entries.len(), 3);
}

#[test]
fn the_store_fills_what_room_there_is() {
    let mut source = Source::new();
    let events = source.events(LIVE_EVENTS_MAX + 5);
    let mut history = of(&events[LIVE_EVENTS_MAX..]);
    history.prime(events.iter().rev().cloned(), false);
    assert_eq!(heard(&history, history.first), Some(ids(&events[5..])));
    let resumed = history.resume(events[4].id);
    assert_eq!(resumed, Some(Resumed { at: history.first, gap: true }));
}

#[test]
fn an_event_is_one_line_whatever_its_bytes() {
    let mut event = (*Source::new().event_after(0, "{\r\n \"a\": \"\\n\"\n}")).clone();
    event.client_id = Some("a\"b".into());
    let entry = Entry::new(Arc::new(event));
    let frame = entry.frame();
    let text = std::str::from_utf8(&frame).expect("UTF-8");
    let (id, rest) = text.split_once('\n').expect("two lines");
    assert_eq!(id, format!("id: {}", entry.event.id));
    assert_eq!(rest.find('\n'), Some(rest.len() - 2));
    let json: serde_json::Value = serde_json::from_slice(&entry.json()).expect("JSON");
    assert_eq!((&json["id"], &json["data"]["a"]), (&"a\"b".into(), &"\n".into()));
}

#[test]
fn with_all_there_ever_was_here_nothing_can_be_missing() {
    let mut source = Source::new();
    let events = source.events(3);
    let mut history = History::default();
    // Published in the very millisecond in which somebody joined.
    let now = events[0].id.created_at();
    let (_, joined) = history.join(now);
    assert!(joined < EventId::floor(now) && joined.created_at() == now - 1);
    history.prime(events.iter().rev().cloned(), true);
    let resumed = history.resume(joined).expect("it is primed");
    assert_eq!((heard(&history, resumed.at), resumed.gap), (Some(ids(&events)), false));
    assert_eq!(history.join(now), (history.end(), events[2].id));
    (0..LIVE_EVENTS_MAX).for_each(|_| history.push(source.event_after(1, "{}")));
    assert!(history.resume(joined).expect("it is primed").gap);
}

#[test]
fn filters_are_patterns() {
    let event = Source::new().event_after(0, "{}");
    let wants = |text: &[&str]| Wanted::parse(text.iter().copied()).expect("sound").wants(&event);
    assert!(wants(&[]) && wants(&["job.*"]) && wants(&["lead.captured", " job.completed"]));
    assert!(!wants(&["lead.*"]));
    let mine = |key: Option<&str>, event_type: &str| {
        let event = Event {
            ordering_key: key.map(Into::into),
            event_type: event_type.into(),
            ..(*event).clone()
        };
        Wanted::parse(["job.*"]).expect("sound").under("user_1").wants(&event)
    };
    assert!(mine(Some("user_1"), "job.completed") && !mine(Some("user_1"), "lead.captured"));
    assert!(!mine(Some("user_2"), "job.completed") && !mine(None, "job.completed"));
    assert!(Wanted::parse(["job.**"]).is_err());
    assert!(Wanted::parse(vec!["job.*"; PATTERNS_MAX + 1]).is_err());
}
