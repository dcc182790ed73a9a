//! What a payload carries so that the receiver can tell loss, duplicates and latency:
//! `{"seq":123,"sent_ns":456,"pad":"…"}`, found by looking for the two names wherever they are.

use std::io::Write;

/// The number of an event and when it was sent ([`crate::clock::now_ns`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    pub seq: u64,
    pub sent_ns: u64,
}

impl Marker {
    /// Finds the marker in a body, whatever envelope a server put around it and in whatever order
    /// it wrote the keys. No JSON is parsed: the receiver shares the machine with what it measures.
    pub fn find(body: &[u8]) -> Option<Self> {
        Some(Self {
            seq: number_after(body, b"\"seq\":")?,
            sent_ns: number_after(body, b"\"sent_ns\":")?,
        })
    }
}

fn number_after(body: &[u8], name: &[u8]) -> Option<u64> {
    // The last hit: an envelope comes before its data.
    let start = body.windows(name.len()).rposition(|window| window == name)? + name.len();
    let rest = body[start..].trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
    let mut number = None;
    for digit in digits {
        let shifted = number.unwrap_or(0u64).checked_mul(10)?;
        number = Some(shifted.checked_add(u64::from(digit - b'0'))?);
    }
    number
}

/// Writes publish bodies of one size.
#[derive(Debug, Clone)]
pub struct Template {
    event_type: EventType,
    pad: Vec<u8>,
}

/// Which event types are sent.
#[derive(Debug, Clone)]
pub enum EventType {
    One(String),
    /// `bench.h0` to `bench.h<n-1>`, round robin by sequence number.
    RoundRobin(u64),
}

impl Template {
    /// Bodies of about `size` bytes (never less than the marker and its envelope need).
    pub fn new(event_type: EventType, size: usize) -> Self {
        let mut template = Self { event_type, pad: Vec::new() };
        let mut bare = Vec::new();
        template.write_event(Marker { seq: 1_000_000, sent_ns: 1 << 51 }, &mut bare);
        template.pad = vec![b'x'; size.saturating_sub(bare.len())];
        template
    }

    /// One event as it is published alone.
    pub fn write_event(&self, marker: Marker, out: &mut Vec<u8>) {
        let Marker { seq, sent_ns } = marker;
        let written = match &self.event_type {
            EventType::One(name) => write!(out, r#"{{"type":"{name}","data":{{"seq":{seq}"#),
            EventType::RoundRobin(types) => {
                write!(out, r#"{{"type":"bench.h{}","data":{{"seq":{seq}"#, seq % types)
            }
        };
        written.expect("writing to memory does not fail");
        write!(out, r#","sent_ns":{sent_ns},"pad":""#).expect("writing to memory does not fail");
        out.extend_from_slice(&self.pad);
        out.extend_from_slice(b"\"}}");
    }

    /// `count` events from `first` on, as they are published in one batch.
    pub fn write_batch(&self, first: Marker, count: u64, out: &mut Vec<u8>) {
        out.push(b'[');
        for offset in 0..count {
            if offset > 0 {
                out.push(b',');
            }
            self.write_event(Marker { seq: first.seq + offset, ..first }, out);
        }
        out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKER: Marker = Marker { seq: 123, sent_ns: 4_503_599_627_370_495 };

    #[test]
    fn what_is_written_is_found() {
        let template = Template::new(EventType::One("bench.event".into()), 256);
        let mut body = Vec::new();
        template.write_event(MARKER, &mut body);
        assert_eq!(Marker::find(&body), Some(MARKER));
        assert!((250..=256).contains(&body.len()), "{}", body.len());
        let parsed: serde_json::Value = serde_json::from_slice(&body).expect("it is JSON");
        assert_eq!(parsed["type"], "bench.event");
    }

    #[test]
    fn a_batch_numbers_its_events_and_spreads_their_types() {
        let template = Template::new(EventType::RoundRobin(2), 0);
        let mut body = Vec::new();
        template.write_batch(MARKER, 3, &mut body);
        let parsed: serde_json::Value = serde_json::from_slice(&body).expect("it is JSON");
        let seen: Vec<_> = parsed.as_array().expect("a list").iter().collect();
        assert_eq!(seen.len(), 3);
        assert_eq!(seen[0]["type"], "bench.h1");
        assert_eq!(seen[1]["type"], "bench.h0");
        assert_eq!(seen[2]["data"]["seq"], 125);
    }

    #[test]
    fn other_envelopes_and_orders_are_read_too() {
        let body = br#"{"data":{"pad":"","sent_ns": 7,"seq" :1,"seq": 42 },"x":1}"#;
        assert_eq!(Marker::find(body), Some(Marker { seq: 42, sent_ns: 7 }));
    }

    #[test]
    fn what_has_no_marker_has_none() {
        for body in [
            &b""[..],
            b"{}",
            br#"{"seq":1}"#,
            br#"{"seq":"1","sent_ns":2}"#,
            br#"{"seq":99999999999999999999999,"sent_ns":2}"#,
        ] {
            assert_eq!(Marker::find(body), None, "{}", String::from_utf8_lossy(body));
        }
    }
}
