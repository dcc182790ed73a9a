//! Leases: which shards this node owns, and until when it may believe so.
//!
//! A node has one heartbeat row, a shard has a holder and an epoch. From time to time a node makes an
//! [`Exchange`] with the database: it renews its heartbeat, claims what is free, gives back what it has
//! drained, and hears how everything stands ([`Standing`]). The database judges by its own time whose
//! heartbeat is too old and sets their shards free, with a new epoch. A holder counts from the moment
//! before it sent the renewal, on a clock that runs through suspend, and stops a margin earlier. So at
//! no time two nodes both believe that they may start attempts in one shard, as long as no clock runs
//! faster or slower than another by more than the margin is of the lease.
//!
//! What is written is guarded by the epoch in the same transaction: a node that wakes up late can at
//! most make an attempt twice, and never record it.

use std::collections::BTreeMap;

use crate::shard::{SHARDS, ShardSet};
use crate::time::Timestamp;

#[cfg(test)]
mod tests;

/// How long a lease is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// From a renewal until others may take over, milliseconds.
    pub lease_ms: i64,
}

impl Terms {
    /// No attempt starts so close to the end: clocks may differ in speed, and between the decision and
    /// the packet lies a moment.
    const MARGIN_SHARE: i64 = 10;
    /// Renewals in a lease: two may fail.
    const RENEWALS: i64 = 3;

    #[must_use]
    pub const fn margin_ms(self) -> i64 {
        self.lease_ms / Self::MARGIN_SHARE
    }

    /// Between two renewals.
    #[must_use]
    pub const fn renewal_ms(self) -> i64 {
        self.lease_ms / Self::RENEWALS
    }
}

/// What a node asks of the database, in one transaction together with its heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exchange {
    /// Free shards to take.
    pub claim: Vec<u8>,
    /// Shards that it holds and is done with.
    pub give_back: Vec<u8>,
    /// It gives back everything and is gone.
    pub leaving: bool,
    /// It owns shards; else it only serves the API.
    pub owns: bool,
}

/// How everything stood when an exchange was committed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Nodes whose lease runs, this one among them, in the order of their numbers.
    pub nodes: Vec<u16>,
    /// Those of them that share the shards.
    pub owners: Vec<u16>,
    /// By shard.
    pub shards: Vec<Shard>,
}

/// How one shard stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shard {
    pub holder: Option<u16>,
    /// Changes whenever the holder does.
    pub epoch: i64,
    /// Its former holder had not given it back: attempts of it may be on their way still.
    pub was_cut_off: bool,
}

/// What follows from a standing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// From now on the shard is this node's.
    Gained { shard: u8, epoch: i64, was_cut_off: bool },
    /// It is another's, or nobody's: nothing of it may be done any more.
    Lost { shard: u8 },
    /// Others have too few: start nothing in it, and say [`Leases::drained`] when all is settled.
    Drain { shard: u8 },
}

/// A shard that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    epoch: i64,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Working,
    Draining,
    Drained,
}

/// The leases of one node.
#[derive(Debug)]
pub struct Leases {
    node: u16,
    terms: Terms,
    held: BTreeMap<u8, Held>,
    claim: Vec<u8>,
    /// Attempts may start before this moment.
    until: Option<Timestamp>,
    /// When the last exchange that was answered had been sent.
    renewed_at: Option<Timestamp>,
    is_shared: bool,
    owns: bool,
    leaving: bool,
}

impl Leases {
    /// Of a node that owns shards.
    #[must_use]
    pub fn new(node: u16, terms: Terms) -> Self {
        Self {
            node,
            terms,
            held: BTreeMap::new(),
            claim: Vec::new(),
            until: None,
            renewed_at: None,
            is_shared: true,
            owns: true,
            leaving: false,
        }
    }

    /// Of a node that only serves the API: it shows that it lives, and takes no shard.
    #[must_use]
    pub fn without_shards(node: u16, terms: Terms) -> Self {
        Self { owns: false, ..Self::new(node, terms) }
    }

    /// What to ask for now.
    #[must_use]
    pub fn exchange(&self) -> Exchange {
        if self.leaving {
            return Exchange { leaving: true, owns: self.owns, ..Exchange::default() };
        }
        let drained = self.held.iter().filter(|(_, held)| held.stage == Stage::Drained);
        let give_back = drained.map(|(&shard, _)| shard).collect();
        Exchange { claim: self.claim.clone(), give_back, leaving: false, owns: self.owns }
    }

    /// Takes in the answer to an exchange that was sent at `sent_at`.
    pub fn answered(&mut self, standing: &Standing, sent_at: Timestamp) -> Vec<Step> {
        self.renewed_at = Some(sent_at);
        self.until = Some(sent_at + (self.terms.lease_ms - self.terms.margin_ms()));
        self.is_shared = standing.nodes.iter().any(|&node| node != self.node);
        let mut steps = Vec::new();
        for (shard, now) in (0..=u8::MAX).zip(&standing.shards) {
            let mine = now.holder == Some(self.node);
            let known = self.held.get(&shard).copied();
            if known.is_some_and(|held| !mine || held.epoch != now.epoch) {
                self.held.remove(&shard);
                steps.push(Step::Lost { shard });
            }
            if mine && known.is_none_or(|held| held.epoch != now.epoch) {
                let held = Held { epoch: now.epoch, stage: Stage::Working };
                self.held.insert(shard, held);
                let (epoch, was_cut_off) = (now.epoch, now.was_cut_off);
                steps.push(Step::Gained { shard, epoch, was_cut_off });
            }
        }
        self.balance(standing, &mut steps);
        steps
    }

    /// Takes no more than its share, and claims what is missing of it.
    fn balance(&mut self, standing: &Standing, steps: &mut Vec<Step>) {
        self.claim.clear();
        let owners = standing.owners.len().max(1);
        let share = if self.leaving || !self.owns { 0 } else { SHARDS.div_ceil(owners) };
        let working = self.held.values().filter(|held| held.stage == Stage::Working).count();
        let surplus = working.saturating_sub(share);
        let last = self.held.iter_mut().rev().filter(|(_, held)| held.stage == Stage::Working);
        for (&shard, held) in last.take(surplus) {
            held.stage = Stage::Draining;
            steps.push(Step::Drain { shard });
        }
        // Each begins at another place, so that they seldom claim the same.
        let nth = standing.owners.iter().position(|&node| node == self.node).unwrap_or(0);
        let from = nth * SHARDS / owners;
        let all = (0..SHARDS).map(|n| (from + n) % SHARDS);
        let free = all.filter(|&n| standing.shards.get(n).is_some_and(|s| s.holder.is_none()));
        let missing = share.saturating_sub(self.held.len());
        self.claim.extend(free.take(missing).map(|n| n as u8));
    }

    /// Everything in a shard that was to be drained is settled.
    pub fn drained(&mut self, shard: u8) {
        if let Some(held) = self.held.get_mut(&shard)
            && held.stage == Stage::Draining
        {
            held.stage = Stage::Drained;
        }
    }

    /// From the next exchange on this node is gone.
    pub fn leave(&mut self) {
        self.leaving = true;
    }

    /// When to make the next exchange.
    #[must_use]
    pub fn next_at(&self) -> Timestamp {
        let is_drained = |held: &Held| held.stage == Stage::Drained;
        let urgent = self.leaving || !self.claim.is_empty() || self.held.values().any(is_drained);
        match self.renewed_at {
            Some(at) if !urgent => at + self.terms.renewal_ms(),
            _ => Timestamp::default(),
        }
    }

    /// Attempts may start before this moment, on the clock of `sent_at`.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// Whether there are other nodes.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Shards in which attempts may start, until [`Self::until`].
    #[must_use]
    pub fn working(&self) -> ShardSet {
        let working = self.held.iter().filter(|(_, held)| held.stage == Stage::Working);
        working.map(|(&shard, _)| shard).collect()
    }
}
