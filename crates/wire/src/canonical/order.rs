//! The order in which a JavaScript object lists its own keys.

use std::cmp::Ordering;

/// In which order the members of objects are printed. Array indices come first, ascending, in both:
/// no other order survives a JavaScript engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The other keys as they were first set, as JavaScript keeps them.
    AsSet,
    /// The other keys by their code points, as Python's `sort_keys` has them.
    Sorted,
}

/// Where one member of an object lies in the output: `"key":value`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    /// Of the opening quote of the key.
    pub start: usize,
    /// Behind the closing quote of the key.
    pub key_end: usize,
    /// Behind the value.
    pub end: usize,
}

/// Up to this many keys are compared with each other; more are sorted.
const FEW: usize = 8;

/// Brings the members of an object that starts (behind its brace) at `start` and ends at the end of
/// `out` into the order of a JavaScript object, one member per key.
///
/// ECMA-262, `OrdinaryOwnPropertyKeys`: array indices first, ascending; then the other keys in the
/// order in which they were first set. A key that comes again replaces the value and keeps its
/// place. Keys are compared as they were printed: one string has one canonical spelling.
///
/// With [`Order::Sorted`] the other keys are sorted instead.
pub(crate) fn arrange(out: &mut Vec<u8>, start: usize, members: &[Member], order: Order) {
    if is_arranged(out, members, order) {
        return;
    }
    let mut slots = distinct(out, members, order);
    slots.sort_unstable_by_key(|slot| slot.rank);
    let mut arranged = Vec::with_capacity(out.len() - start);
    for slot in slots {
        if !arranged.is_empty() {
            arranged.push(b',');
        }
        arranged.extend_from_slice(&out[slot.last.start..slot.last.end]);
    }
    out.truncate(start);
    out.extend_from_slice(&arranged);
}

/// Nearly all objects: no key is an index, none comes twice.
fn is_arranged(out: &[u8], members: &[Member], order: Order) -> bool {
    let key = |member: &Member| &out[member.start..member.key_end];
    if members.iter().any(|member| array_index(key(member)).is_some()) {
        return false;
    }
    if order == Order::Sorted {
        return members
            .windows(2)
            .all(|pair| by_code_points(key(&pair[0]), key(&pair[1])) == Ordering::Less);
    }
    if members.len() <= FEW {
        return members
            .iter()
            .enumerate()
            .all(|(at, member)| members[..at].iter().all(|before| key(before) != key(member)));
    }
    let mut keys: Vec<&[u8]> = members.iter().map(key).collect();
    keys.sort_unstable();
    keys.windows(2).all(|pair| pair[0] != pair[1])
}

/// One key: its place among the others, and the member that set it last.
struct Slot {
    /// Indices (false, index) before other keys (true, place).
    rank: (bool, usize),
    last: Member,
}

fn distinct(out: &[u8], members: &[Member], order: Order) -> Vec<Slot> {
    let key = |place: usize| &out[members[place].start..members[place].key_end];
    let mut places: Vec<usize> = (0..members.len()).collect();
    places.sort_by(|&a, &b| by_code_points(key(a), key(b))); // stable: equal keys stay in document order
    places
        .chunk_by(|&a, &b| key(a) == key(b))
        .enumerate()
        .map(|(sorted, same)| {
            let rank = match (array_index(key(same[0])), order) {
                (Some(index), _) => (false, index as usize),
                (None, Order::AsSet) => (true, same[0]),
                (None, Order::Sorted) => (true, sorted),
            };
            Slot { rank, last: members[same[same.len() - 1]] }
        })
        .collect()
}

/// Compares two printed keys by the code points that they stand for.
fn by_code_points(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (&a[1..a.len() - 1], &b[1..b.len() - 1]);
    if a.contains(&b'\\') || b.contains(&b'\\') {
        return code_points(a).cmp(code_points(b));
    }
    a.cmp(b) // UTF-8 sorts as its code points do
}

/// The code points of a printed string without its quotes; half of a surrogate pair counts as one.
fn code_points(printed: &[u8]) -> impl Iterator<Item = u32> {
    let printed = std::str::from_utf8(printed).expect("what is printed is UTF-8");
    let mut rest = printed.chars();
    std::iter::from_fn(move || {
        let escape = match rest.next()? {
            '\\' => rest.next()?,
            plain => return Some(u32::from(plain)),
        };
        let code = match escape {
            'b' => 0x08,
            't' => 0x09,
            'n' => 0x0a,
            'f' => 0x0c,
            'r' => 0x0d,
            'u' => {
                let digits = rest.as_str().get(..4)?;
                rest = rest.as_str().get(4..)?.chars();
                u32::from_str_radix(digits, 16).ok()?
            }
            itself => u32::from(itself),
        };
        Some(code)
    })
}

/// The index that a quoted key stands for: `"0"` to `"4294967294"` without leading zeros (ECMA-262,
/// "array index").
fn array_index(quoted: &[u8]) -> Option<u32> {
    let digits = &quoted[1..quoted.len() - 1];
    let canonical = match digits {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.len() < 10 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|&index| index < u32::MAX)
}
