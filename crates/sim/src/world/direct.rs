//! Direct deliveries: some events are also owed to URLs that nobody registered.

use std::sync::Arc;

use tidings_core::delivery::{Lane, Owed};
use tidings_core::direct::{self, Direct, DirectLane, Kind};
use tidings_core::dispatch::Limits;
use tidings_core::event::Event;
use tidings_core::time::Timestamp;
use tidings_store::catalogue::tenants::DEFAULT;

use super::cast::{Hook, draw_webhook, settings_of};
use super::{LIMITS, World};
use crate::random::Random;
use crate::receiver::Manner;

/// An origin with its receiver: a webhook that is in no catalogue.
fn draw_origin(random: &mut Random, of: DirectLane, now: Timestamp) -> Hook {
    let key = of.ordered.then_some("");
    let id = direct::lane(DEFAULT, of.kind, "https://direct.example:443", key).webhook;
    let mut webhook = draw_webhook(random, id, now);
    let Limits { leads, callbacks, .. } = LIMITS;
    let limits = if of.kind == Kind::Lead { leads } else { callbacks };
    webhook.max_concurrency = Some(limits.concurrency);
    (webhook.ordered, webhook.active, webhook.revision) = (of.ordered, false, 0);
    let direct = Direct {
        url: "https://direct.example/".into(),
        profile: "standard".into(),
        retry: webhook.retry.clone().expect("it was drawn"),
        timeout_ms: None,
        headers: Vec::new(),
        subject: None,
        body: None,
        format: None,
        options: String::new(),
        fixed_body: None,
        secrets: Vec::new(),
        sealed: Vec::new(),
    };
    let manner = Manner::draw(random, now);
    let settings = settings_of(&webhook);
    Hook { webhook, manner, settings, gone: false, direct: Some(Arc::new(direct)) }
}

impl World {
    pub(super) fn add_origins(&mut self, random: &mut Random) {
        for (kind, ordered) in
            [(Kind::Lead, false), (Kind::Callback, false), (Kind::Callback, true)]
        {
            let hook = draw_origin(random, DirectLane { kind, ordered }, self.now);
            self.hooks.insert(hook.webhook.id, hook);
        }
    }

    /// What an event is owed to URLs that came with it.
    pub(super) fn owe_directly(&mut self, event: &Arc<Event>) -> Vec<Owed> {
        let mut owed = Vec::new();
        for hook in self.hooks_in_order() {
            let Some(direct) = &hook.direct else { continue };
            let id = hook.webhook.id;
            let lane = Lane::of(id, hook.settings.ordered, event.ordering_key.as_deref());
            let delivery = self.ids.next(self.now);
            owed.push(direct::owe(Arc::clone(direct), lane, event, delivery, self.now));
        }
        owed.retain(|_| self.random.once_in(2));
        owed
    }

    /// What an attempt needs is at hand or in the store, whatever happened in between.
    pub(super) fn check_brought(&self, owed: &Owed) -> Result<(), String> {
        let Some(direct) = &self.hooks[&owed.lane.webhook].direct else { return Ok(()) };
        let id = owed.id;
        let brought = match owed.payload.direct() {
            Some(held) => Some((**held).clone()),
            None => self
                .disk
                .run(|store| async move { store.direct(id).await })
                .map_err(|error| error.to_string())?,
        };
        match brought {
            Some(brought) if brought == **direct => Ok(()),
            other => Err(format!("{id} lost what it brought along: {other:?}")),
        }
    }
}
