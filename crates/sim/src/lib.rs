//! Many simulated years: the real core and a real store under a seeded world.
//!
//! One seed decides everything: what is published, how receivers behave, how long the network and the
//! store take, when people pause, cancel and send again, when the process crashes. Time is virtual.
//! After every step the invariants of the promise are checked against a reference model kept outside
//! ([`ledger`], [`gates`]); a violation names its seed, which replays it.
//!
//! [`world`] is the loop; [`receiver`] the receivers; [`disk`] the store with its crashes.

pub mod disk;
pub mod gates;
pub mod ledger;
pub mod random;
pub mod receiver;
pub mod world;

pub use disk::Place;
pub use world::{Summary, run};

/// What went wrong, and with which seed.
#[derive(Debug)]
pub struct Violation {
    pub seed: u64,
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "seed {}: {}\nreplay: TIDINGS_SIM_SEED={} cargo test -p tidings-sim",
            self.seed, self.what, self.seed
        )
    }
}
