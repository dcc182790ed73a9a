//! Lead formats: one lead, handed to one service in the form that it takes.
//!
//! A format owns the whole request: method, URL, headers, body, and what counts as success. Some
//! services need several calls for one lead, so a [`Handoff`] is a sequence: make the [`call`], tell
//! it what came back, and it says whether another call follows. It is pure; whoever holds it sends.
//!
//! Every format has a file of its own, with the source of what it does at its top:
//!
//! | format | goes to | calls |
//! |---|---|---|
//! | `raw` | any receiver; signed | 1 |
//! | `zapier` | a Zapier catch hook; signed | 1 |
//! | `make` | a Make custom webhook; signed | 1 |
//! | `n8n` | an n8n webhook node; signed | 1 |
//! | `slack`, `discord` | a chat's incoming webhook | 1 |
//! | `hubspot` | the CRM's API | 1 |
//! | `mailchimp` | the API of an audience | 1, with tags 2 |
//! | `convertkit` | the API of Kit, version 4 | 1 to 3 |
//! | `activecampaign` | the API, version 3 | 1 to 3 |
//!
//! **Again from the start.** When a later call fails, the whole hand-off is repeated, first call
//! first. That is safe: the first call of every such format is an upsert by e-mail address, and to add
//! somebody to a list, form or tag that they are on already changes nothing. Nothing needs to be
//! remembered between two tries, and none leaves a lead half handed over for good.
//!
//! ```
//! use tidings_wire::lead::{Captured, Format, Handoff, Lead, Occasion, Options, Then};
//!
//! let lead = Lead::read(br#"{"email":"ada@example.com","name":"Ada Lovelace"}"#)?;
//! let captured = Captured { lead_id: "lead-1".into(), campaign: None, lead };
//! let options = Options::read(Format::Convertkit, br#"{"api_key":"kit_1","tag_id":42}"#)?;
//! let occasion = Occasion { event_id: "evt_1", timestamp_ms: 1_705_228_256_789 };
//! let url = "https://api.kit.com/";
//! let mut handoff = Handoff::new(Format::Convertkit, &captured, &options, url, occasion)?;
//!
//! assert_eq!(handoff.call().url, "https://api.kit.com/v4/subscribers");
//! assert_eq!(handoff.answered(201, b"{}"), Then::Next);
//! assert_eq!(handoff.call().url, "https://api.kit.com/v4/tags/42/subscribers");
//! assert_eq!(handoff.answered(200, b"{}"), Then::Done);
//!
//! let nameless = Captured { lead: Lead::read(b"{}")?, ..captured };
//! let refused = Handoff::new(Format::Convertkit, &nameless, &options, url, occasion).unwrap_err();
//! assert_eq!(refused[0].pointer, "/lead/email");
//! # Ok::<(), Vec<tidings_wire::lead::Refused>>(())
//! ```
//!
//! [`call`]: Handoff::call

mod call;
mod captured;
mod options;
mod read;

mod activecampaign;
mod chat;
mod convertkit;
mod discord;
mod hubspot;
mod json;
mod mailchimp;
mod make;
mod n8n;
mod raw;
mod slack;
mod zapier;

use std::fmt;

pub use call::Call;
pub use captured::{Captured, EVENT_TYPE, Lead, Scalar};
pub use options::Options;
pub use read::Refused;

/// What kind of service a lead goes to, and so what the request looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the services' names; the module's documentation has a table")]
pub enum Format {
    Raw,
    Zapier,
    Make,
    Convertkit,
    N8n,
    Mailchimp,
    Activecampaign,
    Hubspot,
    Slack,
    Discord,
}

/// What a format's file says of it.
struct Definition {
    name: &'static str,
    address: Address,
    /// Whether a lead without an e-mail address is refused.
    needs_email: bool,
    /// The options that it takes, and whether each must be given.
    options: &'static [(&'static str, bool)],
    /// All calls, in order. Those after the first may use what [`Definition::learn`] found.
    calls: fn(&Handoff<'_>) -> Vec<Call>,
    /// What later calls need of the first call's answer, when they need anything.
    learn: Option<Learn>,
    /// What is wrong with a 2xx answer, given its status and body; mostly nothing is.
    objection: fn(u16, &[u8]) -> Option<&'static str>,
    /// How long the body of a failure asks to be left alone, for services that say it there.
    wait_s: Option<Wait>,
}

/// Finds in the body of the first answer what later calls need.
type Learn = fn(&[u8]) -> Option<String>;

/// Finds seconds in the body of a failure.
type Wait = fn(&[u8]) -> Option<u64>;

/// What the URL of a delivery means to a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Address {
    /// A webhook that is called as it is, with the headers and the signature of the profile.
    Webhook,
    /// A chat's webhook, called as it is. The URL is the secret, and nobody would look at a signature.
    Chat,
    /// An API, of which it names the origin. The key among the options authenticates; its service
    /// would not look at a signature.
    Api,
}

fn no_objection(_status: u16, _body: &[u8]) -> Option<&'static str> {
    None
}

impl Format {
    /// All of them, the signed ones first.
    pub const ALL: [Self; 10] = [
        Self::Raw,
        Self::Zapier,
        Self::Make,
        Self::N8n,
        Self::Convertkit,
        Self::Mailchimp,
        Self::Activecampaign,
        Self::Hubspot,
        Self::Slack,
        Self::Discord,
    ];

    fn definition(self) -> &'static Definition {
        match self {
            Self::Raw => &raw::DEFINITION,
            Self::Zapier => &zapier::DEFINITION,
            Self::Make => &make::DEFINITION,
            Self::Convertkit => &convertkit::DEFINITION,
            Self::N8n => &n8n::DEFINITION,
            Self::Mailchimp => &mailchimp::DEFINITION,
            Self::Activecampaign => &activecampaign::DEFINITION,
            Self::Hubspot => &hubspot::DEFINITION,
            Self::Slack => &slack::DEFINITION,
            Self::Discord => &discord::DEFINITION,
        }
    }

    /// Its name, as `zapier`.
    pub fn name(self) -> &'static str {
        self.definition().name
    }

    /// The format of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Whether its request carries the headers of the profile and is signed when there is a secret.
    pub fn is_signed(self) -> bool {
        self.definition().address == Address::Webhook
    }

    /// Whether it authenticates with a key among its options.
    pub fn has_key(self) -> bool {
        self.definition().address == Address::Api
    }

    /// The names of the options that it takes, and whether each must be given.
    pub fn options(self) -> &'static [(&'static str, bool)] {
        self.definition().options
    }

    /// Whether it refuses a lead without an e-mail address.
    pub fn needs_email(self) -> bool {
        self.definition().needs_email
    }

    /// What a lead lacks for this format, with a pointer into `{"lead"}`.
    pub fn missing_in(self, lead: &Lead) -> Option<Refused> {
        (self.needs_email() && lead.email.is_none()).then(|| {
            let what = format!("is required by the format `{}`", self.name());
            Refused::new("/lead/email", what)
        })
    }
}

/// Which event a hand-off tells of.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// The id of the event: the same for every try, so that a receiver knows what it has had.
    pub event_id: &'a str,
    /// When the lead was captured, in Unix milliseconds.
    pub timestamp_ms: i64,
}

/// One lead on its way to one service. See the module's documentation.
#[derive(Clone)]
pub struct Handoff<'a> {
    format: Format,
    captured: &'a Captured,
    options: &'a Options,
    url: &'a str,
    occasion: Occasion<'a>,
    /// Calls that have succeeded.
    step: usize,
    /// What the first call's answer told; empty before it, and for formats that need nothing of it.
    learned: String,
}

/// What follows an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It succeeded, and there is another [`Handoff::call`] to make.
    Next,
    /// It succeeded, and it was the last.
    Done,
    /// Its status is no success (2xx); what follows is decided by the status.
    Failed,
    /// A 2xx by which the service says that it has not taken the lead, and why we think so. The same
    /// request would meet the same answer.
    Rejected(&'static str),
}

impl<'a> Handoff<'a> {
    /// A hand-off before its first call. `url` must be one that a parser has normalised.
    ///
    /// What the format misses is named by pointers into `{"webhookUrl","lead","options"}`; the same
    /// arguments are refused, or not, whenever this is called.
    pub fn new(
        format: Format,
        captured: &'a Captured,
        options: &'a Options,
        url: &'a str,
        occasion: Occasion<'a>,
    ) -> Result<Self, Vec<Refused>> {
        let mut refused: Vec<Refused> = format.missing_in(&captured.lead).into_iter().collect();
        if format.definition().address == Address::Api && call::origin(url).is_none() {
            let what = format!(
                "must be the origin of the API, as `https://api.example.com`, without a path: the \
                 format `{}` adds it",
                format.name()
            );
            refused.push(Refused::new("/webhookUrl", what));
        }
        options.check(format, &mut refused);
        match refused.is_empty() {
            true => {
                let (step, learned) = (0, String::new());
                Ok(Self { format, captured, options, url, occasion, step, learned })
            }
            false => Err(refused),
        }
    }

    /// Where it is: calls that have succeeded, and what the first answer told. Empty before the first
    /// success. With it [`Handoff::at`] shows later what was sent.
    pub fn mark(&self) -> String {
        match self.step {
            0 => String::new(),
            step => format!("{step} {}", self.learned),
        }
    }

    /// The same hand-off where it was at a [`Handoff::mark`].
    #[must_use]
    pub fn at(mut self, mark: &str) -> Self {
        let (step, learned) = mark.split_once(' ').unwrap_or_default();
        (self.step, self.learned) = (step.parse().unwrap_or(0), learned.to_owned());
        self
    }

    /// The call that is to be made now. Beyond the last one it stays the last one.
    pub fn call(&self) -> Call {
        let mut calls = (self.format.definition().calls)(self);
        calls.truncate(self.step + 1);
        calls.pop().expect("every format makes a call")
    }

    /// Takes in the answer to the call: its status, and as much of its body as there is.
    pub fn answered(&mut self, status: u16, body: &[u8]) -> Then {
        let definition = self.format.definition();
        if !(200..300).contains(&status) {
            return Then::Failed;
        }
        if let Some(objection) = (definition.objection)(status, body) {
            return Then::Rejected(objection);
        }
        if self.step + 1 >= (definition.calls)(self).len() {
            return Then::Done;
        }
        if let (0, Some(learn)) = (self.step, definition.learn) {
            match learn(body) {
                Some(learned) => self.learned = learned,
                None => return Then::Rejected("the answer lacks the id that the next call needs"),
            }
        }
        self.step += 1;
        Then::Next
    }

    /// How long the service asks to be left alone, in whole seconds, where the body of its answer says it.
    /// What a `Retry-After` says is the sender's to read.
    pub fn wait_s(&self, body: &[u8]) -> Option<u64> {
        self.format.definition().wait_s.and_then(|read| read(body))
    }

    /// The origin of the API, without a slash at its end.
    fn origin(&self) -> &'a str {
        call::origin(self.url).expect("`new` has looked at it")
    }

    /// The e-mail address, for formats that need it.
    fn email(&self) -> &'a str {
        self.captured.lead.email.as_deref().expect("`new` has looked for it")
    }
}

impl fmt::Debug for Handoff<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A lead is somebody's personal data; a log is no place for it.
        let mut shown = f.debug_struct("Handoff");
        shown.field("format", &self.format).field("lead_id", &self.captured.lead_id);
        shown.field("step", &self.step).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
