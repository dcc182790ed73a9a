//! `tidings deliveries tail`: deliveries as they end.

use std::mem::replace;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use super::client::{Api, Failure};
use super::follow::{Follower, Moved};
use super::output::{Format, Output, Paint, line, plain};

/// Print deliveries as they end, until Ctrl-C
///
/// A delivery that is sent again by hand long after it ended is not told again.
#[derive(Debug, Args)]
pub(super) struct Ended {
    /// Only these statuses: success, failed, cancelled, expired; several with commas
    #[arg(long, value_delimiter = ',')]
    status: Vec<String>,
    /// Only of this webhook
    #[arg(long, value_name = "ID")]
    webhook: Option<String>,
    /// How often to ask the server, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(50..))]
    interval: u64,
}

impl Ended {
    pub(super) async fn follow(&self, api: &Api, output: Output) -> Result<()> {
        let mut follower = Follower::from_now(api).await?;
        let mut ticks = tokio::time::interval(Duration::from_millis(self.interval));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // People and scripts see that nothing is missed from now on.
        eprintln!("following {}", api.url());
        let mut is_away = false;
        loop {
            ticks.tick().await;
            let moved = match follower.look(api).await {
                Ok(moved) => moved,
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => {
                    if !replace(&mut is_away, true) {
                        eprintln!("tidings: {error:#}; trying again");
                    }
                    continue;
                }
            };
            is_away = false;
            let mut wanted = moved.iter().filter(|moved| self.wants(moved));
            wanted.try_for_each(|moved| print(output, moved))?;
        }
    }

    fn wants(&self, moved: &Moved) -> bool {
        let delivery = &moved.delivery;
        let status = delivery.status.as_str();
        delivery.status.is_final()
            && (self.status.is_empty() || self.status.iter().any(|wanted| wanted == status))
            && (self.webhook.is_none() || self.webhook == delivery.webhook_id)
    }
}

fn print(output: Output, moved: &Moved) -> Result<()> {
    if output.quiet {
        return line(plain(&moved.delivery.id).as_bytes());
    }
    if output.format == Format::Json {
        return line(moved.raw.get());
    }
    let value: Value = serde_json::from_str(moved.raw.get())?;
    let text = |name: &str| plain(value[name].as_str().unwrap_or("-")).into_owned();
    let status = format!("{:9}", text("status"));
    let paint = Paint::stdout();
    let status = match value["status"].as_str() {
        Some("success") => paint.green(&status),
        _ => paint.red(&status),
    };
    let attempts = attempts(value["attempt_count"].as_u64().unwrap_or_default());
    let (id, event) = (text("id"), text("event_type"));
    let to = text(if value["webhook_id"].is_null() { "url" } else { "webhook_id" });
    let error = value["error_message"].as_str().map(plain).unwrap_or_default();
    let told = format!("{id}  {status}  {attempts:12}  {to}  {event}  {error}");
    line(told.trim_end())
}

fn attempts(count: u64) -> String {
    format!("{count} attempt{}", if count == 1 { "" } else { "s" })
}

/// Refused: asking again changes nothing. A server that restarts is waited for.
fn is_final(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Failure>().is_some_and(|failure| failure.status.is_client_error())
}

#[cfg(test)]
mod tests {
    use super::attempts;

    #[test]
    fn one_attempt_is_one() {
        assert_eq!([0, 1, 2].map(attempts), ["0 attempts", "1 attempt", "2 attempts"]);
    }
}
