//! `tidings tail`: events as they are committed.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidings_core::time::Timestamp;

use super::client::{Api, Call, Failure, Remote, block_on, path};
use super::output::{Format, Output, Paint, ReaderGone, line, plain};

/// Print events as they are committed, until Ctrl-C
///
/// When the connection breaks it goes on where it was.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Tail {
    /// Only these types; patterns, several with commas
    #[arg(value_name = "PATTERNS")]
    types: Option<String>,
    /// Begin after this event
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

const EXAMPLES: &str = "\
Examples:
  tidings tail
  tidings tail 'job.*,lead.captured'
  tidings tail -o json | jq .data                 one JSON object a line

`tidings deliveries tail` prints what becomes of them.";

/// After a broken connection the next try comes so much later.
const AGAIN: Duration = Duration::from_millis(500);

/// An event, as far as it is printed.
#[derive(Deserialize)]
struct Event<'a> {
    event_id: &'a str,
    r#type: &'a str,
    created_at: i64,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Tail {
    pub(super) fn run(&self) -> Result<()> {
        block_on(self.follow())
    }

    async fn follow(&self) -> Result<()> {
        let (api, output) = (self.remote.api()?, self.remote.output());
        let mut last = self.after.clone();
        let mut is_away = None;
        loop {
            let broke = match self.listen(&api, output, &mut last, &mut is_away).await {
                Ok(reason) => reason,
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => format!("{error:#}"),
            };
            if is_away != Some(true) {
                eprintln!("tidings: {broke}; trying again");
            }
            is_away = Some(true);
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Prints until the stream ends; the reason.
    async fn listen(
        &self,
        api: &Api,
        output: Output,
        last: &mut Option<String>,
        is_away: &mut Option<bool>,
    ) -> Result<String> {
        let call = Call::get(path(["live"]))
            .query("types", self.types.as_deref())
            .header("last-event-id", last.as_deref());
        let mut events = api.listen(call).await?;
        if is_away.replace(false).is_none() {
            // People and scripts see that nothing is missed from now on.
            eprintln!("following {}", api.url());
        }
        let mut reason = "the connection broke".to_owned();
        while let Some(told) = events.next().await? {
            match told.name.as_str() {
                "" if told.data.is_empty() => {}
                "" => print(output, &told.data)?,
                "end" => reason = plain(&told.data).into_owned(),
                _ => eprintln!("tidings: {}: {}", plain(&told.name), plain(&told.data)),
            }
            if !told.id.is_empty() {
                *last = Some(told.id);
            }
        }
        Ok(reason)
    }
}

fn print(output: Output, json: &str) -> Result<()> {
    let event: Event = serde_json::from_str(json)?;
    if output.quiet {
        return line(plain(event.event_id).as_bytes());
    }
    if output.format == Format::Json {
        return line(json);
    }
    let paint = Paint::stdout();
    let at = paint.dim(&Timestamp::from_millis(event.created_at).to_rfc3339());
    let (id, event_type, data) =
        (plain(event.event_id), plain(event.r#type), plain(event.data.get()));
    line(format!("{at}  {id}  {event_type}  {data}"))
}

/// Refused, or nobody reads: trying again changes nothing. A server that restarts is waited for.
fn is_final(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Failure>().is_some_and(|failure| {
        failure.status.is_client_error() && failure.status != http::StatusCode::TOO_MANY_REQUESTS
    });
    refused || error.is::<ReaderGone>()
}
