//! A TOML table whose entries are taken one by one: everything wrong is noted with its place in the
//! file, and what nobody asked for is refused by name.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is wrong, and at which bytes of the file.
pub(super) type Wrong = (Range<usize>, String);

/// See the module's documentation.
pub(super) struct Reader<'t, 'i> {
    table: &'t DeTable<'i>,
    /// Where the table begins.
    span: Range<usize>,
    known: Vec<&'static str>,
    wrong: Vec<Wrong>,
}

impl<'t, 'i> Reader<'t, 'i> {
    pub(super) fn new(table: &'t DeTable<'i>, span: Range<usize>) -> Self {
        Self { table, span, known: Vec::new(), wrong: Vec::new() }
    }

    /// Notes what is wrong at a place.
    pub(super) fn refuse(&mut self, span: Range<usize>, what: impl Into<String>) {
        self.wrong.push((span, what.into()));
    }

    /// Notes what is wrong with the table as a whole.
    pub(super) fn refuse_whole(&mut self, what: impl Into<String>) {
        self.refuse(self.span.clone(), what);
    }

    /// An entry as it is, that may be missing.
    pub(super) fn entry(&mut self, name: &'static str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.known.push(name);
        self.table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
    }

    /// Notes that an entry is missing, unless it is there.
    pub(super) fn require(&mut self, name: &'static str) {
        if !self.table.iter().any(|(key, _)| key.get_ref() == name) {
            self.refuse_whole(format!("missing field `{name}`"));
        }
    }

    /// An entry that `read` makes sense of; `what` says what it should have been.
    fn read<T>(
        &mut self,
        name: &'static str,
        what: &str,
        read: impl FnOnce(&'t DeValue<'i>) -> Option<T>,
    ) -> Option<Spanned<T>> {
        let value = self.entry(name)?;
        let found = read(value.get_ref());
        if found.is_none() {
            self.refuse(value.span(), format!("`{name}` must be {what}"));
        }
        Some(Spanned::new(value.span(), found?))
    }

    pub(super) fn text(&mut self, name: &'static str) -> Option<Spanned<&'t str>> {
        self.read(name, "a text", |value| value.as_str())
    }

    /// A text that a rule holds for.
    pub(super) fn text_that(
        &mut self,
        name: &'static str,
        rule: &str,
        holds: impl FnOnce(&str) -> bool,
    ) -> Option<&'t str> {
        let text = self.text(name)?;
        if !holds(text.get_ref()) {
            self.refuse(text.span(), format!("`{name}` {rule}"));
        }
        Some(text.into_inner())
    }

    pub(super) fn boolean(&mut self, name: &'static str) -> Option<bool> {
        self.read(name, "true or false", DeValue::as_bool).map(Spanned::into_inner)
    }

    /// A whole number between two bounds, both included.
    pub(super) fn integer(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        let what = format!("a whole number from {} to {}", range.start(), range.end());
        let read = |value: &DeValue<'_>| whole(value).filter(|number| range.contains(number));
        self.read(name, &what, read).map(Spanned::into_inner)
    }

    /// A number between two bounds, both included.
    pub(super) fn number(&mut self, name: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        let what = format!("a number from {} to {}", range.start(), range.end());
        let read = |value: &DeValue<'_>| {
            let number = match value.as_float() {
                Some(float) => float.as_str().parse().ok()?,
                None => whole(value)? as f64,
            };
            range.contains(&number).then_some(number)
        };
        self.read(name, &what, read).map(Spanned::into_inner)
    }

    /// One of some names; a mistaken one is told which it most resembles.
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
    ) -> Option<Spanned<T>> {
        let text = self.text(name)?;
        match choose(text.get_ref(), choices) {
            Ok(chosen) => Some(Spanned::new(text.span(), chosen)),
            Err(what) => {
                self.refuse(text.span(), format!("`{name}`: {what}"));
                None
            }
        }
    }

    /// A list; what `read` cannot make sense of is noted.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&'t DeValue<'i>) -> Result<T, String>,
    ) -> Option<Spanned<Vec<T>>> {
        let items = self.items(name)?;
        let mut list = Vec::new();
        for item in items.get_ref().iter() {
            match read(item.get_ref()) {
                Ok(value) => list.push(value),
                Err(what) => self.refuse(item.span(), format!("`{name}`: {what}")),
            }
        }
        Some(Spanned::new(items.span(), list))
    }

    /// A list of tables, each to be read on its own.
    pub(super) fn tables(&mut self, name: &'static str) -> Vec<Reader<'t, 'i>> {
        let items = self.items(name);
        let mut tables = Vec::new();
        for item in items.iter().flat_map(|items| items.get_ref().iter()) {
            match item.get_ref().as_table() {
                Some(table) => tables.push(Reader::new(table, item.span())),
                None => self.refuse(item.span(), format!("`{name}` must be a list of tables")),
            }
        }
        tables
    }

    fn items(&mut self, name: &'static str) -> Option<Spanned<&'t toml::de::DeArray<'i>>> {
        self.read(name, "a list", DeValue::as_array)
    }

    /// A table below this one.
    pub(super) fn table(&mut self, name: &'static str) -> Option<Reader<'t, 'i>> {
        let table = self.read(name, &format!("a table: [{name}]"), DeValue::as_table)?;
        Some(Reader::new(table.get_ref(), table.span()))
    }

    /// Takes over what is wrong in a table below, its unknown entries included.
    pub(super) fn absorb(&mut self, below: Reader<'_, '_>) {
        self.wrong.extend(below.finish());
    }

    /// All that was wrong, unknown entries included.
    pub(super) fn finish(mut self) -> Vec<Wrong> {
        for key in self.table.keys() {
            if !self.known.iter().any(|known| key.get_ref() == known) {
                let near = nearest(key.get_ref(), self.known.iter().copied());
                let what = format!("unknown field `{}`{}", key.get_ref(), did_you_mean(near));
                self.wrong.push((key.span(), what));
            }
        }
        self.wrong
    }
}

/// A whole number that is not negative. (The parser hands on digits without their underscores.)
pub(super) fn whole(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// The choice of this name, or what is wrong with it.
pub(super) fn choose<T: Copy>(name: &str, choices: &[(&str, T)]) -> Result<T, String> {
    if let Some((_, chosen)) = choices.iter().find(|(known, _)| *known == name) {
        return Ok(*chosen);
    }
    let near = nearest(name, choices.iter().map(|(known, _)| *known));
    let names: Vec<&str> = choices.iter().map(|(known, _)| *known).collect();
    Err(format!("`{name}` is none of {}{}", names.join(", "), did_you_mean(near)))
}

fn did_you_mean(near: Option<impl Display>) -> String {
    near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// The known name that a mistaken one most resembles, if any does.
pub(super) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}
