//! Colour, where somebody sees it and nobody minds.

use std::io::IsTerminal as _;

/// Colours text, or leaves it as it is.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Paint(bool);

impl Paint {
    /// On a terminal, unless `NO_COLOR` is set to anything (no-color.org).
    pub(in crate::cli) fn stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self(std::io::stdout().is_terminal() && !refused && !dumb)
    }

    pub(in crate::cli) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(in crate::cli) fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    pub(in crate::cli) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
