//! The headers of a request, whatever holds them.

use super::{Verified, Why, read};

/// Where the headers of a request are looked up, so that no HTTP crate is forced on anybody. Lists of
/// names and values implement it, and with the feature `http` the `HeaderMap` of that crate.
pub trait Headers {
    /// The value of a header, by its name in any case. Values are bytes, without the spaces around.
    fn find(&self, name: &str) -> Found<'_>;
}

/// What a look-up finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'h> {
    /// No such header.
    None,
    /// One.
    One(&'h [u8]),
    /// More than one. Which of them counts is nothing that sender and receiver must agree on, so
    /// none does.
    Several,
}

impl<'h> Found<'h> {
    /// What a look-up through these values finds.
    pub fn among(mut values: impl Iterator<Item = &'h [u8]>) -> Self {
        match (values.next(), values.next()) {
            (None, _) => Self::None,
            (Some(value), None) => Self::One(value),
            _ => Self::Several,
        }
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for &[(N, V)] {
    fn find(&self, name: &str) -> Found<'_> {
        among_pairs(self, name)
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>, const COUNT: usize> Headers for [(N, V); COUNT] {
    fn find(&self, name: &str) -> Found<'_> {
        among_pairs(self, name)
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for Vec<(N, V)> {
    fn find(&self, name: &str) -> Found<'_> {
        among_pairs(self, name)
    }
}

fn among_pairs<'h, N, V>(headers: &'h [(N, V)], name: &str) -> Found<'h>
where
    N: AsRef<str>,
    V: AsRef<[u8]>,
{
    let named = headers.iter().filter(|(other, _)| other.as_ref().eq_ignore_ascii_case(name));
    Found::among(named.map(|(_, value)| value.as_ref()))
}

#[cfg(feature = "http")]
impl Headers for http::HeaderMap {
    fn find(&self, name: &str) -> Found<'_> {
        Found::among(self.get_all(name).iter().map(http::HeaderValue::as_bytes))
    }
}

/// A request as a scheme sees it.
pub(super) struct Incoming<'h, 'b> {
    pub headers: &'h dyn Headers,
    pub body: &'b [u8],
    pub now_s: i64,
    pub tolerance_s: u64,
}

impl<'h> Incoming<'h, '_> {
    /// A header that must be there, once.
    pub fn required(&self, name: &str) -> Result<&'h [u8], Why> {
        self.optional(name)?.ok_or_else(|| Why::Missing(name.into()))
    }

    /// A header that may be there, once.
    pub fn optional(&self, name: &str) -> Result<Option<&'h [u8]>, Why> {
        match self.headers.find(name) {
            Found::None => Ok(None),
            Found::One(value) => Ok(Some(value)),
            Found::Several => Err(Why::Repeated(name.into())),
        }
    }

    /// What a signed timestamp says, if the time that was handed in is near enough.
    pub fn fresh(&self, text: &[u8]) -> Result<i64, Why> {
        let timestamp_s = read::timestamp(text).ok_or(Why::InvalidTimestamp)?;
        if timestamp_s.abs_diff(self.now_s) <= self.tolerance_s {
            return Ok(timestamp_s);
        }
        Err(if timestamp_s < self.now_s { Why::TooOld } else { Why::TooNew })
    }
}

impl<'h> Verified<'h> {
    pub(super) fn new(id: Option<&'h str>, timestamp_s: Option<i64>) -> Self {
        Self { id, timestamp_s, seen: false }
    }
}
