//! JSON over several lines, its numbers, strings and order untouched.

/// Indents JSON by two spaces. Works on the text: a parser would round numbers and sort keys.
/// What is not JSON comes out with odd line breaks, but whole.
pub(in crate::cli) fn pretty(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut rest = json.trim().char_indices().peekable();
    let json = json.trim();
    while let Some((at, c)) = rest.next() {
        match c {
            '"' => {
                let end = end_of_string(&json[at..]);
                out.push_str(&super::plain(&json[at..at + end]));
                while rest.next_if(|&(next, _)| next < at + end).is_some() {}
            }
            '{' | '[' => {
                out.push(c);
                while rest.next_if(|(_, c)| c.is_ascii_whitespace()).is_some() {}
                if let Some((_, close)) = rest.next_if(|(_, c)| matches!(c, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Bytes of the string at the start of `text`, its quotes included.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_white_space_changes() {
        let json = r#" {"b":[1.0,{} , [ ]],"a":"x, \"{y}\"","n":12345678901234567890.10} "#;
        let expected = "{\n  \"b\": [\n    1.0,\n    {},\n    []\n  ],\n  \"a\": \"x, \\\"{y}\\\"\",\n  \
                        \"n\": 12345678901234567890.10\n}";
        assert_eq!(pretty(json), expected);
        assert_eq!(pretty("3"), "3");
        assert_eq!(pretty("\"broken"), "\"broken");
    }
}
