//! The order in which a JavaScript object lists its own keys.

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
pub(crate) fn arrange(out: &mut Vec<u8>, start: usize, members: &[Member]) {
    if is_arranged(out, members) {
        return;
    }
    let mut slots = distinct(out, members);
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
fn is_arranged(out: &[u8], members: &[Member]) -> bool {
    let key = |member: &Member| &out[member.start..member.key_end];
    if members.iter().any(|member| array_index(key(member)).is_some()) {
        return false;
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
    /// Indices (false, index) before other keys (true, place of the first occurrence).
    rank: (bool, usize),
    last: Member,
}

fn distinct(out: &[u8], members: &[Member]) -> Vec<Slot> {
    let key = |place: usize| &out[members[place].start..members[place].key_end];
    let mut places: Vec<usize> = (0..members.len()).collect();
    places.sort_by(|&a, &b| key(a).cmp(key(b))); // stable: equal keys stay in document order
    places
        .chunk_by(|&a, &b| key(a) == key(b))
        .map(|same| {
            let rank = match array_index(key(same[0])) {
                Some(index) => (false, index as usize),
                None => (true, same[0]),
            };
            Slot { rank, last: members[same[same.len() - 1]] }
        })
        .collect()
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
