//! The bar on standard error: which scenario, which step, how long already. Silent when standard
//! error is not a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    done: u64,
    scenario: &'static str,
    steps: u64,
}

impl Progress {
    pub fn new(steps: u64) -> Self {
        let bar = ProgressBar::new(steps);
        let template = "{spinner} {elapsed_precise} [{bar:24}] {pos}/{len} {msg}";
        bar.set_style(ProgressStyle::with_template(template).expect("the template is valid"));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, done: 0, scenario: "", steps: 0 }
    }

    /// Begins a scenario; what the one before left undone counts as done.
    pub fn scenario(&mut self, name: &'static str, steps: u64) {
        self.done += self.steps;
        (self.scenario, self.steps) = (name, steps);
        self.bar.set_position(self.done);
        self.bar.set_message(name);
    }

    /// Begins a step of the scenario.
    pub fn step(&self, what: &str) {
        self.bar.set_message(format!("{}: {what}", self.scenario));
        self.bar.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
