//! The leases of many nodes in virtual time: whatever pauses, dies, joins or is lost on the way, no two
//! nodes believe at once that they may start attempts in one shard, and soon none is left without one.

use std::collections::HashMap;

use super::*;

const TERMS: Terms = Terms { lease_ms: 10_000 };

/// A small generator: the world must replay from its seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        crate::retry::mix(self.0) % n
    }
}

/// What the database does with an exchange, by its own time.
#[derive(Default)]
struct Database {
    heartbeats: HashMap<u16, i64>,
    /// Nodes that only serve the API.
    without_shards: Vec<u16>,
    shards: Vec<Shard>,
}

impl Database {
    fn new() -> Self {
        Self { shards: vec![Shard::default(); SHARDS], ..Self::default() }
    }

    fn exchange(&mut self, node: u16, asked: &Exchange, now: i64) -> Standing {
        self.heartbeats.insert(node, now);
        if !asked.owns && !self.without_shards.contains(&node) {
            self.without_shards.push(node);
        }
        let is_live = |at: &i64| at + TERMS.lease_ms >= now;
        self.heartbeats.retain(|_, at| is_live(at));
        for shard in &mut self.shards {
            if shard.holder.is_some_and(|holder| !self.heartbeats.contains_key(&holder)) {
                *shard = Shard { holder: None, epoch: shard.epoch + 1, was_cut_off: true };
            }
        }
        for (n, shard) in self.shards.iter_mut().enumerate() {
            let n = n as u8;
            let mine = shard.holder == Some(node);
            if mine && (asked.leaving || asked.give_back.contains(&n)) {
                *shard = Shard { holder: None, epoch: shard.epoch + 1, was_cut_off: false };
            } else if shard.holder.is_none() && asked.claim.contains(&n) {
                (shard.holder, shard.epoch) = (Some(node), shard.epoch + 1);
            }
        }
        if asked.leaving {
            self.heartbeats.remove(&node);
        }
        let mut nodes: Vec<u16> = self.heartbeats.keys().copied().collect();
        nodes.sort_unstable();
        let mut owners = nodes.clone();
        owners.retain(|owner| !self.without_shards.contains(owner));
        Standing { nodes, owners, shards: self.shards.clone() }
    }
}

/// A node, with its exchange on the way.
struct Node {
    leases: Leases,
    /// Sent at, at the database at, answered at; and what was asked.
    under_way: Option<(i64, i64, i64)>,
    asked: Exchange,
    answer: Option<Standing>,
    /// Does nothing until then.
    paused_until: i64,
    /// Its shards that are drained at that moment.
    draining: Vec<(i64, u8)>,
}

impl Node {
    fn new(number: u16) -> Self {
        Self {
            leases: Leases::new(number, TERMS),
            under_way: None,
            asked: Exchange::default(),
            answer: None,
            paused_until: 0,
            draining: Vec::new(),
        }
    }

    fn turn(&mut self, database: &mut Database, chance: &mut Chance, now: i64) {
        let number = self.leases.node;
        // What was sent goes its way, also while the node stands still.
        if let Some((_, at, _)) = self.under_way
            && self.answer.is_none()
            && at <= now
        {
            self.answer = Some(database.exchange(number, &self.asked, now));
        }
        if self.paused_until > now {
            return;
        }
        self.draining.retain(|&(at, shard)| {
            if at <= now {
                self.leases.drained(shard);
            }
            at > now
        });
        if let Some((sent_at, _, answered_at)) = self.under_way
            && answered_at <= now
            && let Some(standing) = self.answer.take()
        {
            self.under_way = None;
            // One in ten answers is lost.
            if chance.below(10) > 0 {
                let steps = self.leases.answered(&standing, Timestamp::from_millis(sent_at));
                for step in steps {
                    if let Step::Drain { shard } = step {
                        self.draining.push((now + chance.below(3_000) as i64, shard));
                    }
                }
            }
        }
        if self.under_way.is_none() && self.leases.next_at().as_millis() <= now {
            let slow = if chance.below(20) == 0 { 15_000 } else { 20 };
            let at = now + 1 + chance.below(slow) as i64;
            self.asked = self.leases.exchange();
            self.under_way = Some((now, at, at + 1 + chance.below(slow) as i64));
        }
    }

    /// The shards in which it would start an attempt now.
    fn believes(&self, now: i64) -> ShardSet {
        let may = self.leases.until().is_some_and(|until| now < until.as_millis());
        let awake = self.paused_until <= now;
        if may && awake { self.leases.working() } else { ShardSet::default() }
    }
}

fn assert_owned_once(nodes: &[Node], now: i64, seed: u64) {
    let mut owned = ShardSet::default();
    for node in nodes {
        let theirs = node.believes(now);
        let both: Vec<u8> = theirs.iter().filter(|&shard| owned.has(shard)).collect();
        assert!(both.is_empty(), "seed {seed}, at {now}: two nodes own {both:?}");
        theirs.iter().for_each(|shard| owned.insert(shard));
    }
}

#[test]
fn no_shard_has_two_owners_whatever_happens() {
    for seed in 0..12 {
        let (mut chance, mut database) = (Chance(seed), Database::new());
        let mut nodes: Vec<Node> = (0..4).map(Node::new).collect();
        let mut next_number = 4;
        for now in (20_000..200_000).step_by(5) {
            if chance.below(2_000) == 0 {
                let n = chance.below(nodes.len() as u64) as usize;
                match chance.below(4) {
                    0 if nodes.len() > 1 => drop(nodes.remove(n)),
                    1 if nodes.len() < 8 => {
                        nodes.push(Node::new(next_number));
                        next_number += 1;
                    }
                    2 => nodes[n].leases.leave(),
                    _ => nodes[n].paused_until = now + chance.below(30_000) as i64,
                }
            }
            nodes.iter_mut().for_each(|node| node.turn(&mut database, &mut chance, now));
            assert_owned_once(&nodes, now, seed);
            // Whoever has left is gone.
            nodes.retain(|node| !(node.leases.leaving && node.leases.working().is_empty()));
            if nodes.is_empty() {
                nodes.push(Node::new(next_number));
                next_number += 1;
            }
        }
    }
}

/// Nodes with a fast network and nothing that befalls them.
fn settle(nodes: &mut [Leases], database: &mut Database, from: i64, for_ms: i64) {
    for now in (from..from + for_ms).step_by(100) {
        for leases in nodes.iter_mut() {
            for _ in 0..4 {
                if leases.next_at().as_millis() > now {
                    break;
                }
                let standing = database.exchange(leases.node, &leases.exchange(), now);
                for step in leases.answered(&standing, Timestamp::from_millis(now)) {
                    if let Step::Drain { shard } = step {
                        leases.drained(shard);
                    }
                }
            }
        }
    }
}

fn counts(nodes: &[Leases]) -> Vec<usize> {
    nodes.iter().map(|leases| leases.working().len()).collect()
}

#[test]
fn who_joins_gets_a_share_and_who_leaves_gives_it_back() {
    let mut database = Database::new();
    let mut nodes = vec![Leases::new(0, TERMS)];
    settle(&mut nodes, &mut database, 100_000, 100);
    assert_eq!(counts(&nodes), [256], "the only one has all at once");
    assert!(!nodes[0].is_shared());
    nodes.push(Leases::new(1, TERMS));
    settle(&mut nodes, &mut database, 101_000, 8_000);
    assert_eq!(counts(&nodes), [128, 128]);
    nodes.push(Leases::new(2, TERMS));
    settle(&mut nodes, &mut database, 110_000, 8_000);
    assert_eq!(counts(&nodes).iter().sum::<usize>(), 256);
    assert!(counts(&nodes).iter().all(|&count| count >= 84), "{:?}", counts(&nodes));
    nodes[0].leave();
    let gone = database.exchange(0, &nodes[0].exchange(), 120_000);
    assert!(gone.shards.iter().all(|shard| shard.holder != Some(0) && !shard.was_cut_off));
    nodes.remove(0);
    settle(&mut nodes, &mut database, 120_000, 8_000);
    assert_eq!(counts(&nodes), [128, 128]);
}

#[test]
fn what_a_dead_node_held_is_taken_over_within_a_lease_and_a_renewal() {
    let mut database = Database::new();
    let mut nodes = vec![Leases::new(0, TERMS), Leases::new(1, TERMS)];
    settle(&mut nodes, &mut database, 100_000, 10_000);
    nodes.remove(0);
    settle(&mut nodes, &mut database, 110_000, TERMS.lease_ms + TERMS.renewal_ms() + 100);
    assert_eq!(counts(&nodes), [256]);
    assert_eq!(database.shards.iter().filter(|shard| shard.was_cut_off).count(), 128);
}

#[test]
fn a_lease_ends_before_others_may_take_it() {
    let mut database = Database::new();
    let mut leases = Leases::new(0, TERMS);
    settle(std::slice::from_mut(&mut leases), &mut database, 100_000, 100);
    let until = leases.until().expect("it was answered").as_millis();
    assert_eq!(until, 100_000 + TERMS.lease_ms - TERMS.margin_ms());
    // The database does not answer: nothing changes but the time.
    assert_eq!(leases.working().len(), SHARDS);
    let standing = database.exchange(1, &Exchange::default(), until + TERMS.margin_ms() + 101);
    let steps = leases.answered(&standing, Timestamp::from_millis(until + 5_000));
    assert_eq!(steps.len(), SHARDS, "all are lost");
    assert!(leases.working().is_empty());
}

#[test]
fn a_node_that_only_serves_the_api_has_no_share() {
    let mut database = Database::new();
    let mut api = Leases::without_shards(0, TERMS);
    let mut owners = [Leases::new(1, TERMS), Leases::new(2, TERMS)];
    for round in 0..4_i64 {
        let at = Timestamp::from_millis(round);
        let standing = database.exchange(0, &api.exchange(), round);
        assert!(api.answered(&standing, at).is_empty());
        for (node, leases) in (1..).zip(&mut owners) {
            let standing = database.exchange(node, &leases.exchange(), round);
            for step in leases.answered(&standing, at) {
                if let Step::Drain { shard } = step {
                    leases.drained(shard);
                }
            }
            assert!(leases.is_shared(), "what the other node commits is heard of");
        }
    }
    assert_eq!(owners.each_ref().map(|leases| leases.working().len()), [SHARDS / 2; 2]);
    assert!(api.working().is_empty());
}
