//! Random histories: after any sequence of what can happen, the counts agree with a recount of every
//! delivery, and every delivery is where the model says.

use std::collections::BTreeMap;

use tidings_core::delivery::{Owed, Status};
use tidings_core::direct::{self, Kind, is_lane};
use tidings_core::id::{DeliveryId, WebhookId};
use tidings_core::settlement::{Reason, Settlement, Verdict};
use tidings_core::time::{HOUR_MS, MINUTE_MS};

use super::world::{Factory, TENANT, World};
use crate::history::deliveries::DeliveryFilter;
use crate::{Committed, Control};

/// xorshift64*: the same histories in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }
}

/// What the store should hold.
#[derive(Default)]
struct Model {
    owed: BTreeMap<DeliveryId, Owed>,
    ended: BTreeMap<DeliveryId, (WebhookId, Status)>,
    attempts: i64,
}

impl Model {
    fn any_owed(&self, chance: &mut Chance) -> Option<Owed> {
        let n = self.owed.len();
        (n > 0).then(|| self.owed.values().nth(chance.below(n)).cloned()).flatten()
    }

    fn any_ended(&self, chance: &mut Chance) -> Option<DeliveryId> {
        let n = self.ended.len();
        (n > 0).then(|| self.ended.keys().nth(chance.below(n)).copied()).flatten()
    }

    fn end(&mut self, owed: &Owed, status: Status) {
        self.owed.remove(&owed.id);
        self.ended.insert(owed.id, (owed.lane.webhook, status));
    }
}

pub async fn random_histories_reconcile(factory: &dyn Factory) {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut world = World::new(factory);
    let mut webhooks: Vec<WebhookId> = (0..5).map(|_| world.webhook_id()).collect();
    webhooks.push(direct::lane(TENANT, Kind::Lead, "https://direct.example:443", None).webhook);
    let mut model = Model::default();
    for round in 0..12 {
        for _ in 0..60 {
            step(&mut world, &mut model, &webhooks, &mut chance).await;
        }
        if round % 4 == 3 {
            world = world.reopen();
        }
        check(&world, &model, &webhooks).await;
    }
    let seen: Vec<Status> = model.ended.values().map(|&(_, status)| status).collect();
    for status in Status::ALL.into_iter().filter(|status| status.is_final()) {
        assert!(seen.contains(&status), "the histories never reached {status:?}");
    }
}

async fn step(
    world: &mut World<'_>,
    model: &mut Model,
    webhooks: &[WebhookId],
    chance: &mut Chance,
) {
    world.advance(chance.below(MINUTE_MS as usize) as i64);
    match chance.below(12) {
        0..=3 => {
            let first = chance.below(webhooks.len());
            let owed = world.publish(&webhooks[first..]).await;
            model.owed.extend(owed.into_iter().map(|owed| (owed.id, owed)));
        }
        4..=8 => settle(world, model, chance).await,
        9 => {
            let Some(owed) = model.any_owed(chance) else { return };
            let cancel = Control::Cancel { tenant: TENANT, delivery: owed.id };
            world.store.control(cancel).await.expect("cancelled");
            world.told().await;
            model.end(&owed, Status::Cancelled);
        }
        10 => {
            let Some(delivery) = model.any_ended(chance) else { return };
            let retry = Control::RetryNow { tenant: TENANT, delivery, more: 1 };
            world.store.control(retry).await.expect("retried");
            let owed = world.told_owed(1).await.remove(0);
            model.ended.remove(&delivery);
            model.owed.insert(delivery, owed);
        }
        _ if chance.below(3) == 0 => {
            world.advance(HOUR_MS);
            world.store.maintain().await.expect("maintained");
        }
        _ => {}
    }
}

async fn settle(world: &mut World<'_>, model: &mut Model, chance: &mut Chance) {
    let Some(owed) = model.any_owed(chance) else { return };
    let end = |status, reason| Verdict::End { status, reason };
    let mut settlement = world.success(&owed);
    match chance.below(6) {
        0..=2 => {}
        3 => settlement = world.failure(&owed, MINUTE_MS),
        4 => {
            let verdict = end(Status::Failed, Reason::Exhausted);
            settlement = Settlement { verdict, ..world.failure(&owed, 0) };
        }
        _ => {
            settlement.attempt = None;
            settlement.verdict = end(Status::Expired, Reason::Expired);
        }
    }
    model.attempts += i64::from(settlement.attempt.is_some());
    let verdict = settlement.verdict;
    let told = world.settle(settlement).await;
    let [Committed::Settled { again, .. }] = told.as_slice() else { panic!("told {told:?}") };
    match (verdict, again) {
        (Verdict::End { status, .. }, None) => model.end(&owed, status),
        (Verdict::Retry { .. }, Some(again)) => {
            model.owed.insert(owed.id, again.clone());
        }
        other => panic!("{other:?}"),
    }
}

async fn check(world: &World<'_>, model: &Model, webhooks: &[WebhookId]) {
    let filter = DeliveryFilter { limit: 100_000, ..DeliveryFilter::default() };
    let list = world.store.deliveries(TENANT, &filter).await.expect("read");
    assert_eq!(list.len(), model.owed.len() + model.ended.len());
    for delivery in &list {
        let expected = match model.ended.get(&delivery.id) {
            Some(&(_, status)) => status,
            None if model.owed[&delivery.id].attempts > 0 => Status::Retrying,
            None => Status::Pending,
        };
        assert_eq!(delivery.status, expected, "{delivery:?}");
        assert_eq!(delivery.direct.is_some(), is_lane(delivery.webhook), "{delivery:?}");
        let attempts = world.store.attempts(TENANT, delivery.id).await.expect("read");
        let numbers: Vec<u16> = attempts.iter().map(|record| record.attempt.number).collect();
        assert_eq!(numbers, (1..=delivery.attempts).collect::<Vec<_>>(), "{delivery:?}");
    }
    let tenant = world.store.tenant_totals(TENANT).await.expect("read");
    assert!(tenant.reconciles(), "{tenant:?}");
    assert_eq!(tenant.counts.accepted, list.len() as i64);
    assert_eq!(tenant.counts.attempts, model.attempts);
    for &webhook in webhooks.iter().filter(|&&webhook| !is_lane(webhook)) {
        let totals = world.store.webhook_totals(webhook).await.expect("read");
        assert!(totals.reconciles(), "{totals:?}");
        let ended = |status| {
            model.ended.values().filter(|&&(w, s)| (w, s) == (webhook, status)).count() as i64
        };
        let counts = totals.counts;
        assert_eq!(counts.success, ended(Status::Success));
        assert_eq!(counts.failed, ended(Status::Failed));
        assert_eq!(counts.cancelled, ended(Status::Cancelled));
        assert_eq!(counts.expired, ended(Status::Expired));
    }
    assert_eq!(world.rows_owed().await, model.owed.len());
}
