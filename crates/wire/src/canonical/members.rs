//! An object that was printed, taken apart again.

/// The members of an object in canonical form, in its order: keys with their quotes, and values. None
/// when the text is no object. It must be canonical: nothing is checked.
pub(crate) fn members(text: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let inside = text.strip_prefix(b"{")?.strip_suffix(b"}")?;
    let mut members = Vec::new();
    let mut rest = inside;
    while !rest.is_empty() {
        let (key, behind) = rest.split_at(value_end(rest));
        let behind = &behind[1..]; // the colon
        let (value, behind) = behind.split_at(value_end(behind));
        members.push((key, value));
        rest = behind.strip_prefix(b",").unwrap_or(behind);
    }
    Some(members)
}

/// Where the value ends that the text begins with: at a `,` or `:` outside of it, or at the end.
fn value_end(text: &[u8]) -> usize {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, &byte) in text.iter().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b',' | b':' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_taken_apart() {
        let shown = |text: &str| -> Option<Vec<String>> {
            let show = |part| String::from_utf8_lossy(part).into_owned();
            let shown = |(key, value)| format!("{} {}", show(key), show(value));
            members(text.as_bytes()).map(|members| members.into_iter().map(shown).collect())
        };
        assert_eq!(shown("{}"), Some(vec![]));
        let text = r#"{"a":1,"b,:\"}":{"c":[1,{"d":"]"}],"e":2},"f":"\\","g":[],"":null}"#;
        let expected = [
            r#""a" 1"#,
            r#""b,:\"}" {"c":[1,{"d":"]"}],"e":2}"#,
            r#""f" "\\""#,
            r#""g" []"#,
            r#""" null"#,
        ];
        assert_eq!(shown(text), Some(expected.map(str::to_owned).into()));
        assert_eq!(shown("[1]"), None);
        assert_eq!(shown("7"), None);
    }
}
