//! Events at a fixed rate, whether or not answers come: what latency is measured with.
//!
//! An event is stamped when its time has come, not when a connection is free, so a server that
//! stalls is charged for every event that it kept waiting.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::Plan;
use super::publisher::{Kept, Publisher};

pub async fn run(publisher: &Publisher, plan: &Plan, rate: f64) -> Result<()> {
    ensure!(rate > 0.0 && rate.is_finite(), "the rate must be above 0");
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let idle = Arc::new(Mutex::new(Vec::<Kept>::new()));
    let mut tasks = JoinSet::new();
    loop {
        ticks.tick().await;
        let Some((body, count)) = plan.next() else { break };
        let (publisher, idle) = (publisher.clone(), Arc::clone(&idle));
        tasks.spawn(async move {
            let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = publisher.publish(kept, body.into(), count).await;
            idle.lock().unwrap_or_else(PoisonError::into_inner).extend(connection);
        });
        while let Some(ended) = tasks.try_join_next() {
            ended?;
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(())
}
