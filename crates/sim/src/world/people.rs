//! What people do, what crashes do, and how it all heals.

use std::collections::HashMap;

use tidings_core::delivery::Status;
use tidings_core::dispatch::{Dispatcher, Signal, WebhookSettings};
use tidings_core::health::Health;
use tidings_core::id::WebhookId;
use tidings_store::catalogue::tenants::DEFAULT;
use tidings_store::{Committed, Control};

use super::agenda::Happening;
use super::{LIMITS, World};
use crate::receiver::Manner;

impl World {
    pub(super) fn person(&mut self) -> Result<(), String> {
        let nth = self.random.between(0, 20) as usize;
        match self.random.between(0, 3) {
            0 => self.toggle_pause(),
            1 => {
                let Some(delivery) = self.ledger.some_owed(nth) else { return Ok(()) };
                let control = Control::Cancel { tenant: DEFAULT, delivery };
                let done = self.disk.run(|store| async move { store.control(control).await });
                if done.is_ok() {
                    self.ledger.ended(delivery, Status::Cancelled)?;
                    let ended =
                        |c: &Committed| matches!(c, Committed::Ended { id, .. } if *id == delivery);
                    let told = self.disk.told_until(ended);
                    self.hear(told)?;
                }
                Ok(())
            }
            _ => self.send_again(nth),
        }
    }

    pub(super) fn send_again(&mut self, nth: usize) -> Result<(), String> {
        let Some(delivery) = self.ledger.some_ended(Status::Failed, nth) else { return Ok(()) };
        let lane = self.ledger.get(delivery).ok_or("it was just found")?.lane;
        let hook = &self.hooks[&lane.webhook];
        // An ordered lane's rows are compared by their acceptance, which this one's is not.
        if hook.gone || hook.settings.ordered {
            return Ok(());
        }
        let control = Control::RetryNow { tenant: DEFAULT, delivery, more: 1 };
        let done = self.disk.run(|store| async move { store.control(control).await });
        if done.is_ok() {
            self.ledger.sent_again(delivery, self.now);
            let owed = |c: &Committed| matches!(c, Committed::Owed(o) if o.id == delivery);
            let told = self.disk.told_until(owed);
            self.hear(told)?;
        }
        Ok(())
    }

    pub(super) fn toggle_pause(&mut self) -> Result<(), String> {
        let mut ids: Vec<WebhookId> = self.hooks.keys().copied().collect();
        ids.sort_unstable();
        let id = *self.random.pick(&ids);
        let hook = self.hooks.get_mut(&id).ok_or("it was just picked")?;
        if !hook.gone && hook.direct.is_none() {
            hook.settings.paused = !hook.settings.paused;
            let settings = hook.settings.clone();
            self.signal(Signal::Webhook(Box::new(settings)));
        }
        Ok(())
    }

    /// The process is gone with all that it had in memory; another starts from what is on disk.
    pub(super) fn crash(&mut self) {
        self.summary.crashes += 1;
        self.ledger.crashed();
        self.gates.crashed();
        self.waiting.clear();
        let planned = std::mem::take(&mut self.happenings).into_vec();
        let outside = |what: &Happening| {
            matches!(
                what,
                Happening::Publish | Happening::Report(_) | Happening::Person | Happening::Crash
            )
        };
        self.happenings = planned.into_iter().filter(|due| outside(&due.what)).collect();
        self.disk.crash();
        self.dispatcher = Dispatcher::new(LIMITS);
        self.restore();
    }

    /// What a start does.
    pub(super) fn restore(&mut self) {
        let healths = self.disk.run(|store| async move { store.healths().await });
        let mut healths: HashMap<WebhookId, Health> =
            healths.expect("health can be read").into_iter().collect();
        let mut settings: Vec<WebhookSettings> = self
            .hooks
            .values()
            .filter(|hook| !hook.gone && hook.direct.is_none())
            .map(|hook| hook.settings.clone())
            .collect();
        settings.sort_by_key(|settings| settings.id);
        for mut settings in settings {
            settings.health = healths.remove(&settings.id);
            self.signal(Signal::Webhook(Box::new(settings)));
        }
        let lanes = self.disk.run(|store| async move { store.lanes().await });
        for summary in lanes.expect("lanes can be read") {
            if self.hooks[&summary.lane.webhook].gone {
                self.end_deliveries(summary.lane.webhook);
            } else {
                self.signal(Signal::Waiting { lane: summary.lane, next: summary.next });
            }
        }
    }

    /// The faults are over: everybody answers, nothing is paused. False when that was so already.
    pub(super) fn heal(&mut self) -> bool {
        if std::mem::replace(&mut self.healed, true) {
            return false;
        }
        let mut signals = Vec::new();
        for hook in self.hooks.values_mut().filter(|hook| !hook.gone) {
            hook.manner = Manner::Healthy;
            hook.settings.paused = false;
            if hook.direct.is_none() {
                signals.push(hook.settings.clone());
            }
        }
        signals.sort_by_key(|settings| settings.id);
        signals.into_iter().for_each(|settings| self.signal(Signal::Webhook(Box::new(settings))));
        true
    }
}
