//! `JSON.stringify(JSON.parse(text))` of a JavaScript engine, byte for byte.
//!
//! Receivers written in JavaScript often verify the signature over `JSON.stringify(request.body)`,
//! that is, over what they parsed and printed again. Such a receiver accepts a body only if parsing
//! and printing gives the same bytes. So a body that Tidings builds is sent in the form that
//! printing gives:
//!
//! * no white space;
//! * numbers as ECMA-262 `Number::toString` prints doubles: `1.0` → `1`, `1e21` → `1e+21`, `-0` → `0`;
//! * of a key that comes twice the last value, at the place of the first;
//! * keys that are array indices (`"0"` … `"4294967294"`) first, ascending;
//! * strings with the escapes of `JSON.stringify`, lone surrogates as `\ud800`.
//!
//! One thing is refused rather than copied from JavaScript: a number that a double would falsify.
//! An integer literal that no double holds exactly (`9007199254740993`) and a number beyond the range
//! of doubles (`1e400`) are an error with a JSON pointer to the place. Decimals round, as everybody
//! expects of them.
//!
//! An integer that a double *does* hold exactly is printed as JavaScript prints it, which above 2^53
//! may be other digits of the same double: 1152921504606846976 → `1152921504606847000`. So these digits
//! are taken too, though no double is that integer: they are how JavaScript writes the one that it
//! means. What was printed once can be printed again and stays as it is.
//!
//! It reads the text once and writes into one buffer, without a tree and without recursion.

mod members;
mod number;
mod order;
mod string;

use std::fmt;

use thiserror::Error;

pub(crate) use members::members;
pub(crate) use number::append_double;
use order::Member;
pub use order::Order;
pub use string::append_string;

/// How deep arrays and objects may be nested. JavaScript engines print a few thousand levels before
/// their stack ends, other parsers far fewer; nobody means more than this.
pub const MAX_DEPTH: usize = 512;

/// A text that has no canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unrepresentable at {}: {why}", Shown(.pointer))]
pub struct Unrepresentable {
    /// Where, as a JSON pointer (RFC 6901); empty for the whole text.
    pub pointer: String,
    /// What is wrong there.
    pub why: Why,
}

/// What keeps a text from having a canonical form, or a body from being built out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Why {
    /// An integer literal that is not the value of any double, nor how JavaScript writes one.
    #[error("an integer that a double cannot hold exactly")]
    InexactInteger,
    /// A number beyond the largest double.
    #[error("a number beyond the range of a double")]
    OutOfRange,
    /// Arrays and objects nested deeper than [`MAX_DEPTH`].
    #[error("nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// A field that the body needs is not in the data.
    #[error("the body needs it")]
    Missing,
    /// A field that the body needs is something else.
    #[error("it must be {0}")]
    Not(&'static str),
    /// Not JSON (RFC 8259) at all.
    #[error("not JSON: expected {expected} at byte {offset}")]
    Invalid {
        /// Offset in bytes into the text.
        offset: usize,
        /// What should have been there.
        expected: &'static str,
    },
}

struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "the root" } else { self.0 })
    }
}

/// The canonical form of a JSON text.
///
/// ```
/// use tidings_wire::canonical::canonicalize;
/// let text = br#"{ "b": 1.0, "a": 1e21, "7": "\u00e9\/", "b": 1e-7 }"#;
/// assert_eq!(canonicalize(text)?, r#"{"7":"é/","b":1e-7,"a":1e+21}"#.as_bytes());
///
/// let error = canonicalize(br#"{"ids":[1,9007199254740993]}"#).unwrap_err();
/// assert_eq!(error.pointer, "/ids/1");
/// # Ok::<(), tidings_wire::canonical::Unrepresentable>(())
/// ```
pub fn canonicalize(text: &[u8]) -> Result<Vec<u8>, Unrepresentable> {
    let mut out = Vec::with_capacity(text.len());
    append(text, "", Order::AsSet, &mut out)?;
    Ok(out)
}

/// Appends the canonical form of a JSON text. `pointer` is where the text will stand in what is
/// being written (`/data`), for errors. On an error `out` is as it was.
pub fn append(
    text: &[u8],
    pointer: &str,
    order: Order,
    out: &mut Vec<u8>,
) -> Result<(), Unrepresentable> {
    let length = out.len();
    let mut printer = Printer { text, at: 0, out, order, open: Vec::new(), members: Vec::new() };
    let outcome = match std::str::from_utf8(text) {
        Ok(_) => printer.document(),
        Err(error) => Err(Why::Invalid { offset: error.valid_up_to(), expected: "UTF-8" }),
    };
    outcome.map_err(|why| {
        let pointer = format!("{pointer}{}", printer.pointer());
        printer.out.truncate(length);
        Unrepresentable { pointer, why }
    })
}

/// An array or object whose end has not been read yet.
struct Open {
    /// How many elements of an array are behind us; `None` for an object.
    index: Option<usize>,
    /// Where its content starts in the output.
    start: usize,
    /// Where its members start in `Printer::members`.
    members: usize,
}

struct Printer<'a> {
    text: &'a [u8],
    at: usize,
    out: &'a mut Vec<u8>,
    order: Order,
    open: Vec<Open>,
    /// The members read so far of all open objects, innermost last.
    members: Vec<Member>,
}

impl Printer<'_> {
    fn document(&mut self) -> Result<(), Why> {
        loop {
            if self.value_or_open()? {
                continue;
            }
            // A value has ended, and with it perhaps what it stands in.
            while let Some(open) = self.open.last_mut() {
                let expects_key = open.index.is_none();
                if let Some(index) = &mut open.index {
                    *index += 1;
                }
                self.end_member();
                match self.after_space() {
                    Some(b',') => {
                        self.push_byte(b',');
                        if expects_key {
                            self.key()?;
                        }
                        break;
                    }
                    Some(b'}') if expects_key => self.close(b'}'),
                    Some(b']') if !expects_key => self.close(b']'),
                    _ if expects_key => return self.expected("`,` or `}`"),
                    _ => return self.expected("`,` or `]`"),
                }
            }
            if self.open.is_empty() {
                return match self.after_space() {
                    None => Ok(()),
                    Some(_) => self.expected("the end of the text"),
                };
            }
        }
    }

    /// Reads a whole value (false), or the start of an array or object that has content (true).
    fn value_or_open(&mut self) -> Result<bool, Why> {
        match self.after_space() {
            Some(b'{') => {
                self.open(b'{', None)?;
                if self.after_space() == Some(b'}') {
                    self.close(b'}');
                    return Ok(false);
                }
                self.key()?;
                return Ok(true);
            }
            Some(b'[') => {
                self.open(b'[', Some(0))?;
                if self.after_space() == Some(b']') {
                    self.close(b']');
                    return Ok(false);
                }
                return Ok(true);
            }
            Some(b'"') => self.at = string::copy_string(self.text, self.at + 1, self.out)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word(b"true")?,
            Some(b'f') => self.word(b"false")?,
            Some(b'n') => self.word(b"null")?,
            _ => self.expected("a value")?,
        }
        Ok(false)
    }

    /// Skips white space and looks at the byte behind it.
    fn after_space(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn expected(&self, expected: &'static str) -> Result<(), Why> {
        Err(Why::Invalid { offset: self.at, expected })
    }

    /// Copies one byte that has been looked at.
    fn push_byte(&mut self, byte: u8) {
        self.out.push(byte);
        self.at += 1;
    }

    fn open(&mut self, bracket: u8, index: Option<usize>) -> Result<(), Why> {
        if self.open.len() == MAX_DEPTH {
            return Err(Why::TooDeep);
        }
        self.push_byte(bracket);
        self.open.push(Open { index, start: self.out.len(), members: self.members.len() });
        Ok(())
    }

    fn close(&mut self, bracket: u8) {
        let open = self.open.pop().expect("only what is open is closed");
        order::arrange(self.out, open.start, &self.members[open.members..], self.order);
        self.members.truncate(open.members);
        self.push_byte(bracket);
    }

    /// Reads `"key":` and starts a member.
    fn key(&mut self) -> Result<(), Why> {
        if self.after_space() != Some(b'"') {
            return self.expected("a key in quotes");
        }
        let start = self.out.len();
        self.at = string::copy_string(self.text, self.at + 1, self.out)?;
        let key_end = self.out.len();
        self.members.push(Member { start, key_end, end: key_end });
        if self.after_space() != Some(b':') {
            return self.expected("`:`");
        }
        self.push_byte(b':');
        Ok(())
    }

    /// Notes where the value of the innermost object's latest member ends.
    fn end_member(&mut self) {
        let in_object = self.open.last().is_some_and(|open| open.index.is_none());
        if in_object && let Some(member) = self.members.last_mut() {
            member.end = self.out.len();
        }
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), Why> {
        if !self.text[self.at..].starts_with(word) {
            return self.expected("a value");
        }
        self.out.extend_from_slice(word);
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Why> {
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start { self.expected("a digit") } else { Ok(()) }
    }

    fn number(&mut self) -> Result<(), Why> {
        let start = self.at;
        if self.text[self.at] == b'-' {
            self.at += 1;
        }
        // A zero leads nothing: what follows it is the next token.
        match self.text.get(self.at) {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        let whole_end = self.at;
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.text.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        let literal = std::str::from_utf8(&self.text[start..self.at]).expect("digits are ASCII");
        self.print_number(literal, self.at == whole_end)
    }

    fn print_number(&mut self, literal: &str, is_integer: bool) -> Result<(), Why> {
        // Up to 15 digits a double holds, and JavaScript prints, every integer as it is written.
        if is_integer && literal.len() <= 15 && literal != "-0" {
            self.out.extend_from_slice(literal.as_bytes());
            return Ok(());
        }
        let nearest: f64 = literal.parse().expect("JSON's numbers are numbers in Rust");
        if nearest.is_infinite() {
            return Err(Why::OutOfRange);
        }
        let start = self.out.len();
        number::append_double(nearest, self.out);
        let is_same = &self.out[start..] == literal.as_bytes();
        if is_integer && !is_same && !number::is_exact(literal, nearest) {
            return Err(Why::InexactInteger);
        }
        Ok(())
    }

    /// The place that is being read, as a JSON pointer.
    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for (depth, open) in self.open.iter().enumerate() {
            if let Some(index) = open.index {
                pointer.push_str(&format!("/{index}"));
                continue;
            }
            let end = self.open.get(depth + 1).map_or(self.members.len(), |inner| inner.members);
            if end > open.members {
                let member = self.members[end - 1];
                pointer.push('/');
                pointer.push_str(&unquote(&self.out[member.start..member.key_end]));
            }
        }
        pointer
    }
}

/// A printed key as a reference token of a JSON pointer. Half of a surrogate pair cannot be in a
/// Rust string; a key that has one is shown with its escapes.
fn unquote(quoted: &[u8]) -> String {
    let key: String = serde_json::from_slice(quoted)
        .unwrap_or_else(|_| String::from_utf8_lossy(&quoted[1..quoted.len() - 1]).into_owned());
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests;
