//! What lies in Redis: requests on their way to a worker, and reports on their way back.
//!
//! All of it is sealed under a key that is derived from that of the installation. Payloads and headers
//! with credentials do not lie open, and whoever can write to Redis but has not the key can neither make a
//! worker send something nor have a delivery recorded. Two installations with different keys can share a
//! Redis: the names of their keys differ as well.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tidings_core::egress::{EgressPolicy, Scheme, Target};
use tidings_core::outcome::Outcome;
use tidings_core::releases::Ticket;
use tidings_core::time::Timestamp;

use super::release::OwnerId;
use crate::seal::Sealer;
use crate::sender::{Lines, Request};

/// An entry that is no request: whoever is about to release leaves it to see whether it can.
pub(super) const NOTHING: &[u8] = b"";

/// What an owner notes of an attempt, and gets back with the reply: a new owner must be able to write it
/// down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stub {
    pub started_at: Timestamp,
    /// Of the webhook, when the request was made.
    pub revision: u32,
    pub signature: String,
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) slip: Slip,
    pub(super) body: Bytes,
}

/// All of a request but its body.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Slip {
    pub(super) owner: OwnerId,
    pub(super) ticket: Ticket,
    /// No worker starts it later, by the time of Redis.
    pub(super) start_by: Timestamp,
    method: String,
    url: String,
    headers: Lines,
    timeout_ms: u64,
    /// The body of the answer is wanted as far as it is read, for who goes on with what it says.
    pub(super) whole: bool,
    pub(super) stub: Stub,
}

/// What a worker reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Report {
    /// It has begun with these, or is at them still.
    Taken(Vec<Ticket>),
    Replied(Box<Reply>),
}

/// What came of a request that a worker sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    pub ticket: Ticket,
    pub stub: Stub,
    pub outcome: Outcome,
    pub duration_ms: u32,
    /// The body of the answer, when it was wanted.
    #[serde(with = "as_text", default, skip_serializing_if = "Vec::is_empty")]
    pub body: Vec<u8>,
}

impl Report {
    /// Leaves what is of these shards; whether anything is left.
    pub(super) fn only(&mut self, is_wanted: impl Fn(u8) -> bool) -> bool {
        match self {
            Self::Taken(tickets) => {
                tickets.retain(|ticket| is_wanted(ticket.shard));
                !tickets.is_empty()
            }
            Self::Replied(reply) => is_wanted(reply.ticket.shard),
        }
    }

    /// About how many bytes it is when it is sealed.
    pub(super) fn weight(&self) -> usize {
        /// A ticket; all else of a reply that has no bounds worth counting.
        const TICKET: usize = 64;
        const REST: usize = 384;
        match self {
            Self::Taken(tickets) => TICKET * tickets.len(),
            Self::Replied(reply) => {
                let answered = match &reply.outcome {
                    Outcome::Answered(answer) => answer.headers.as_str().len() + answer.body.len(),
                    Outcome::Failed(_) => 0,
                };
                // As text it is larger by a third.
                REST + answered + reply.body.len() * 4 / 3
            }
        }
    }
}

impl Parcel {
    pub(super) fn new(
        (owner, ticket, start_by): (OwnerId, Ticket, Timestamp),
        request: &Request,
        whole: bool,
        stub: Stub,
    ) -> Self {
        let slip = Slip {
            owner,
            ticket,
            start_by,
            method: request.method.to_string(),
            url: url(&request.target),
            headers: request.headers.clone(),
            timeout_ms: u64::try_from(request.timeout.as_millis()).unwrap_or(u64::MAX),
            whole,
            stub,
        };
        Self { slip, body: request.body.clone() }
    }

    /// The request, if this policy lets it be sent; `None` when it cannot be one.
    pub(super) fn request(&self, egress: &EgressPolicy) -> Option<Request> {
        Some(Request {
            target: egress.parse_url(&self.slip.url).ok()?.into(),
            method: Method::from_bytes(self.slip.method.as_bytes()).ok()?,
            headers: self.slip.headers.clone(),
            body: self.body.clone(),
            timeout: Duration::from_millis(self.slip.timeout_ms),
        })
    }
}

/// About how many bytes a request is when it is sealed.
pub(super) fn weight(request: &Request) -> usize {
    /// What else there is of it.
    const REST: usize = 512;
    request.body.len() + request.headers.as_str().len() + REST
}

fn url(target: &Target) -> String {
    let scheme = match target.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    format!("{scheme}://{}{}", target.authority, target.path_and_query)
}

/// Seals and opens what lies in Redis, and names it.
#[derive(Debug, Clone)]
pub(super) struct Postbox {
    sealer: Sealer,
    prefix: String,
}

/// What a sealed text is, so that one cannot be passed off as the other.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Request = 1,
    Reports = 2,
}

impl Postbox {
    /// Of the installation with this key.
    pub(super) fn new(secret_key: [u8; 32]) -> Self {
        let derive = |purpose: &str| -> [u8; 32] {
            Sha256::new().chain_update(purpose).chain_update(secret_key).finalize().into()
        };
        let name = derive("tidings: the name of an installation in redis");
        let prefix = name[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { sealer: Sealer::new(derive("tidings: what lies in redis")), prefix }
    }

    /// The list of the requests of a group. What stands in braces decides on the node of a cluster.
    pub(super) fn requests(&self, group: u8) -> String {
        format!("tidings:{}:{{{group}}}:requests", self.prefix)
    }

    /// The stream of its replies.
    pub(super) fn replies(&self, group: u8) -> String {
        format!("tidings:{}:{{{group}}}:replies", self.prefix)
    }

    /// The workers, by the time of their last word.
    pub(super) fn workers(&self) -> String {
        format!("tidings:{}:workers", self.prefix)
    }

    /// `length of the slip (4 bytes, little end first) | slip | body`, sealed.
    pub(super) fn seal_request(&self, group: u8, parcel: &Parcel) -> Vec<u8> {
        let slip = serde_json::to_vec(&parcel.slip).expect("it has string keys only");
        let length = u32::try_from(slip.len()).expect("its headers are bounded");
        let text = [&length.to_le_bytes()[..], &slip, &parcel.body].concat();
        self.sealer.seal(purpose(group, Kind::Request), &text)
    }

    /// `None` for what was not sealed by [`Self::seal_request`] for this group.
    pub(super) fn open_request(&self, group: u8, sealed: &[u8]) -> Option<Parcel> {
        let text = self.sealer.open(purpose(group, Kind::Request), sealed).ok()?;
        let (length, rest) = text.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let slip = serde_json::from_slice(rest.get(..length)?).ok()?;
        Some(Parcel { slip, body: Bytes::from(text).slice(4 + length..) })
    }

    pub(super) fn seal_reports(&self, group: u8, reports: &[Report]) -> Vec<u8> {
        let text = serde_json::to_vec(reports).expect("they have string keys only");
        self.sealer.seal(purpose(group, Kind::Reports), &text)
    }

    /// `None` for what was not sealed by [`Self::seal_reports`] for this group.
    pub(super) fn open_reports(&self, group: u8, sealed: &[u8]) -> Option<Vec<Report>> {
        let text = self.sealer.open(purpose(group, Kind::Reports), sealed).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

fn purpose(group: u8, kind: Kind) -> i64 {
    i64::from(group) << 8 | kind as i64
}

/// Bytes in JSON.
mod as_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use tidings_core::egress::AllowRule;
    use tidings_core::id::DeliveryId;
    use tidings_core::outcome::FailureKind;

    use super::*;

    fn policy() -> EgressPolicy {
        let allow = AllowRule::parse_list("127.0.0.0/8").expect("a rule");
        EgressPolicy { allow, ..EgressPolicy::default() }
    }

    fn ticket() -> Ticket {
        Ticket { delivery: DeliveryId::from_i64(i64::MAX), shard: 200, attempt: 3, call: 0 }
    }

    fn stub() -> Stub {
        let started_at = Timestamp::from_millis(1_795_362_000_123);
        Stub { started_at, revision: 2, signature: "v1,abc=".into() }
    }

    fn sent(url: &str) -> Request {
        Request {
            target: policy().parse_url(url).expect("allowed").into(),
            method: Method::PUT,
            headers: serde_json::from_str(r#""X-Name: a, b\r\n""#).expect("lines"),
            body: Bytes::from_static(b"{\"n\":1.0, \xff}"),
            timeout: Duration::from_millis(1_500),
        }
    }

    #[test]
    fn a_request_arrives_as_it_was_released() {
        let postbox = Postbox::new([7; 32]);
        for url in [
            "http://127.0.0.1:4242/a%20b?c=d&e",
            "https://example.com/",
            "https://[2606:4700::1111]:8443/x",
        ] {
            let request = sent(url);
            let parcel = Parcel::new((9, ticket(), stub().started_at), &request, true, stub());
            let sealed = postbox.seal_request(3, &parcel);
            let opened = postbox.open_request(3, &sealed).expect("it is ours");
            assert_eq!(opened.slip, parcel.slip);
            let again = opened.request(&policy()).expect("a request");
            assert_eq!(format!("{again:?}"), format!("{request:?}"));
            assert_eq!(again.headers, request.headers);
        }
    }

    #[test]
    fn what_is_sealed_weighs_about_what_was_said() {
        let postbox = Postbox::new([7; 32]);
        let about = |said: usize, sealed: usize| {
            assert!(said.abs_diff(sealed) <= 512.max(sealed / 4), "{said} and not {sealed}");
        };
        for bytes in [0, 100_000] {
            let request =
                Request { body: vec![b'x'; bytes].into(), ..sent("https://example.com/") };
            let parcel = Parcel::new((9, ticket(), stub().started_at), &request, true, stub());
            about(weight(&request), postbox.seal_request(3, &parcel).len());
            let outcome = Outcome::failed(FailureKind::Timeout, "");
            let (stub, body) = (stub(), vec![b'x'; bytes]);
            let reply = Reply { ticket: ticket(), stub, outcome, duration_ms: 5, body };
            let reports = [Report::Replied(Box::new(reply))];
            about(reports[0].weight(), postbox.seal_reports(3, &reports).len());
        }
        let reports = [Report::Taken(vec![ticket(); 100])];
        about(reports[0].weight(), postbox.seal_reports(3, &reports).len());
    }

    #[test]
    fn what_was_tampered_with_or_misplaced_is_not_opened() {
        let postbox = Postbox::new([7; 32]);
        let parcel = Parcel::new(
            (9, ticket(), stub().started_at),
            &sent("https://example.com/"),
            false,
            stub(),
        );
        let mut sealed = postbox.seal_request(3, &parcel);
        assert!(postbox.open_request(4, &sealed).is_none(), "another group");
        assert!(postbox.open_reports(3, &sealed).is_none(), "another kind");
        assert!(Postbox::new([8; 32]).open_request(3, &sealed).is_none(), "another installation");
        *sealed.last_mut().expect("not empty") ^= 1;
        assert!(postbox.open_request(3, &sealed).is_none());
        assert!(postbox.open_request(3, b"").is_none());
        let short = postbox.sealer.seal(purpose(3, Kind::Request), &u32::MAX.to_le_bytes());
        assert!(postbox.open_request(3, &short).is_none());
        assert_ne!(postbox.workers(), Postbox::new([8; 32]).workers());
    }

    #[test]
    fn a_policy_that_denies_it_has_no_request() {
        let parcel = Parcel::new(
            (9, ticket(), stub().started_at),
            &sent("http://127.0.0.1:80/"),
            false,
            stub(),
        );
        assert!(parcel.request(&EgressPolicy::default()).is_none());
    }

    #[test]
    fn reports_arrive_as_they_were_made() {
        let postbox = Postbox::new([7; 32]);
        let outcome = Outcome::failed(tidings_core::outcome::FailureKind::Timeout, "no answer");
        let reply =
            Reply { ticket: ticket(), stub: stub(), outcome, duration_ms: 7, body: vec![0, 255] };
        let reports = [Report::Taken(vec![ticket()]), Report::Replied(reply.into())];
        let sealed = postbox.seal_reports(0, &reports);
        assert_eq!(postbox.open_reports(0, &sealed).expect("ours"), reports);
    }
}
