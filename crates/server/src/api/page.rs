//! Pages of lists: `?limit=` (1 to 250, default 50) and an opaque `?cursor=`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use axum::extract::FromRequestParts;
use axum::extract::Query;
use http::request::Parts;
use tidings_core::limits::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};

use super::problem::{Problem, Result};

/// How far `?page=` reaches: what lies before the page is read and thrown away. Cursors go further.
const PAGED_ITEMS_MAX: u32 = 10_000;

/// The query of a list, all as text until it is checked.
#[derive(Debug, Clone, Default)]
pub struct ListQuery(HashMap<String, String>);

impl ListQuery {
    /// A parameter, if it is given and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// 422 for parameters that a list does not know: `limit`, `cursor` and these.
    pub fn only(&self, known: &[&'static str]) -> Result<()> {
        self.exactly(&[&["limit", "cursor"], known].concat())
    }

    /// 422 for parameters that the operation does not know.
    pub fn exactly(&self, known: &[&'static str]) -> Result<()> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(Problem::invalid_field(name.clone(), "is not a known parameter")),
            None => Ok(()),
        }
    }

    /// A parameter of some type; 422 with what it should have been.
    pub fn parsed<T: std::str::FromStr>(&self, name: &str, what: &str) -> Result<Option<T>> {
        let parse = |text: &str| {
            text.parse().map_err(|_| Problem::invalid_field(name, format!("must be {what}")))
        };
        self.get(name).map(parse).transpose()
    }

    pub fn limit(&self) -> Result<u32> {
        let what = format!("a whole number from 1 to {PAGE_ITEMS_MAX}");
        let limit = self.parsed("limit", &what)?.unwrap_or(PAGE_ITEMS_DEFAULT);
        if (1..=PAGE_ITEMS_MAX).contains(&limit) {
            Ok(limit)
        } else {
            Err(Problem::invalid_field("limit", format!("must be {what}")))
        }
    }

    /// How many items lie before the page of `?page=`.
    pub fn skip(&self) -> Result<u32> {
        let what = format!("a page number from 1, within the first {PAGED_ITEMS_MAX} items");
        let page: u32 = self.parsed("page", &what)?.unwrap_or(1);
        let before = page.checked_sub(1).and_then(|pages| pages.checked_mul(self.limit().ok()?));
        before
            .filter(|&items| items < PAGED_ITEMS_MAX)
            .ok_or_else(|| Problem::invalid_field("page", format!("must be {what}")))
    }

    /// Where the previous page ended.
    pub fn cursor<T: std::str::FromStr>(&self) -> Result<Option<T>> {
        self.parsed("cursor", "the next_cursor of an earlier answer")
    }

    /// The page that is asked for of a list that is held whole, oldest first; and the cursor to the next.
    pub fn page_of<T, I>(
        &self,
        all: Vec<T>,
        id: impl Fn(&T) -> I,
    ) -> Result<(Vec<T>, Option<String>)>
    where
        I: Copy + Ord + std::fmt::Display + std::str::FromStr,
    {
        let (limit, before) = (self.limit()?, self.cursor::<I>()?);
        let wanted = all.into_iter().rev().filter(|item| before.is_none_or(|end| id(item) < end));
        Ok(cut(wanted.take(limit as usize + 1).collect(), limit, |item| id(item).to_string()))
    }

    /// A moment: Unix milliseconds or RFC 3339.
    pub fn moment(&self, name: &str) -> Result<Option<tidings_core::time::Timestamp>> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let at = text.parse().ok().map(tidings_core::time::Timestamp::from_millis);
        match at.or_else(|| super::form::parse_rfc3339(text)) {
            Some(at) => Ok(Some(at)),
            None => Err(Problem::invalid_field(name, "must be Unix milliseconds or RFC 3339")),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ListQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Ok(Query(pairs)) =
            Query::<Vec<(String, String)>>::from_request_parts(parts, state).await
        else {
            return Err(Problem::bad_request("invalid_query", "the query cannot be read"));
        };
        let mut query = HashMap::with_capacity(pairs.len());
        for (name, value) in pairs {
            match query.entry(name) {
                Entry::Vacant(place) => drop(place.insert(value)),
                Entry::Occupied(twice) => {
                    return Err(Problem::invalid_field(twice.key().clone(), "is given twice"));
                }
            }
        }
        Ok(Self(query))
    }
}

/// The items of one page and the cursor to the next, from one item more than a page has.
pub fn cut<T>(
    mut items: Vec<T>,
    limit: u32,
    cursor: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = if more { items.last().map(cursor) } else { None };
    (items, next)
}
