//! Sets of HTTP statuses, as a profile file lists them: `[410, "500-599"]`.

use std::ops::RangeInclusive;

use serde::Deserialize;

/// A set of HTTP statuses. In a file: a list of numbers and ranges, as `[410, "430-499"]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<Item>")]
pub struct StatusSet(Vec<RangeInclusive<u16>>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    One(u16),
    Range(String),
}

impl StatusSet {
    /// Whether a status is in the set.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl From<u16> for StatusSet {
    fn from(status: u16) -> Self {
        Self(vec![status..=status])
    }
}

impl TryFrom<Vec<Item>> for StatusSet {
    type Error = String;

    fn try_from(items: Vec<Item>) -> Result<Self, String> {
        items.into_iter().map(range).collect::<Result<_, _>>().map(Self)
    }
}

fn range(item: Item) -> Result<RangeInclusive<u16>, String> {
    let (range, shown) = match item {
        Item::One(status) => (Some(status..=status), status.to_string()),
        Item::Range(text) => (parse_range(&text), text),
    };
    // A success cannot end a delivery as failed, and 1xx is no answer yet.
    range
        .filter(|range| *range.start() >= 300 && *range.end() <= 599 && !range.is_empty())
        .ok_or_else(|| {
            format!(
                "`{shown}` is neither a status from 300 to 599 nor a range of them like \"400-499\""
            )
        })
}

fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (from, to) = text.split_once('-')?;
    Some(from.parse().ok()?..=to.parse().ok()?)
}
