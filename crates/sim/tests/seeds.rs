//! The seeds of the ordinary test run. `TIDINGS_SIM_SEED=n` replays one, `TIDINGS_SIM_SEEDS=n` runs
//! the first n.

use tidings_sim::{Place, Summary, run};

/// Seeds that once failed, with the story that each tells.
const REGRESSIONS: [u64; 2] = [
    // A row committed while its ordered lane was being paged was overtaken by the page's later rows.
    39,
    // A delivery for later came while a lane was being paged: all that was due behind the page waited for it.
    291,
];
const SEEDS: u64 = 60;

fn live(seed: u64) -> Summary {
    // Memory, where there is any: commits are what the simulation spends its time on.
    let shm = std::path::Path::new("/dev/shm");
    let dir = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() };
    let dir = dir.expect("a directory can be made");
    let place = Place::Directory(dir.path().to_owned());
    run(seed, place).unwrap_or_else(|violation| panic!("{violation}"))
}

#[test]
fn seeds() {
    #[expect(clippy::disallowed_methods, reason = "a test has no settings")]
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = setting("TIDINGS_SIM_SEED") {
        println!("{:?}", live(seed));
        return;
    }
    let mut all = Summary::default();
    for seed in REGRESSIONS.into_iter().chain(0..setting("TIDINGS_SIM_SEEDS").unwrap_or(SEEDS)) {
        let one = live(seed);
        all.deliveries += one.deliveries;
        all.attempts += one.attempts;
        all.crashes += one.crashes;
        all.pages += one.pages;
        all.virtual_hours += one.virtual_hours;
    }
    println!("{all:?}");
    assert!(all.crashes > 0 && all.pages > 0 && all.deliveries > 1_000, "{all:?}");
}

#[test]
fn a_seed_replays_exactly() {
    assert_eq!(live(7), live(7));
}
