use super::*;

fn print(text: &str) -> String {
    String::from_utf8(canonicalize(text.as_bytes()).unwrap()).unwrap()
}

fn fail(text: &str) -> Unrepresentable {
    canonicalize(text.as_bytes()).unwrap_err()
}

#[test]
fn numbers() {
    for (text, printed) in [
        ("0", "0"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("1.0", "1"),
        ("-1.50", "-1.5"),
        ("0.1", "0.1"),
        ("1e2", "100"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("1.5e21", "1.5e+21"),
        ("1e-6", "0.000001"),
        ("1e-7", "1e-7"),
        ("1.25e-7", "1.25e-7"),
        ("123456.789", "123456.789"),
        ("5e-324", "5e-324"),
        ("1e-400", "0"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("999999999999999", "999999999999999"),
        ("9007199254740992", "9007199254740992"),
        ("1152921504606846976", "1152921504606847000"),
        ("9007199254740993.0", "9007199254740992"),
        // In the middle of two shortest decimals: the even one.
        ("31735794244129.0625", "31735794244129.062"),
        ("635056371112519.25", "635056371112519.2"),
        ("635056371112519.75", "635056371112519.8"),
        ("5e-324", "5e-324"),
    ] {
        assert_eq!(print(text), printed, "{text}");
    }
}

#[test]
fn order_of_keys() {
    for (text, printed) in [
        (r#"{"b":1,"a":2}"#, r#"{"b":1,"a":2}"#),
        (r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#),
        (r#"{"a":1,"\u0061":2}"#, r#"{"a":2}"#),
        (r#"{"b":1,"10":2,"9":3,"01":4,"-1":5}"#, r#"{"9":3,"10":2,"b":1,"01":4,"-1":5}"#),
        (r#"{"4294967295":1,"4294967294":2}"#, r#"{"4294967294":2,"4294967295":1}"#),
        (
            r#"{"x":{"b":1,"1":2},"0":[{"a":1,"0":2}]}"#,
            r#"{"0":[{"0":2,"a":1}],"x":{"1":2,"b":1}}"#,
        ),
        (r#"{"a":1,"__proto__":2}"#, r#"{"a":1,"__proto__":2}"#),
    ] {
        assert_eq!(print(text), printed, "{text}");
    }
}

/// More keys than are compared one by one.
#[test]
fn many_keys() {
    let member = |key: usize| format!("\"k{key}\":{key}");
    let many: Vec<String> = (0..1_000).rev().map(member).collect();
    let text = format!("{{{}}}", many.join(","));
    assert_eq!(print(&text), text);
    let twice = format!("{{{},\"k7\":null}}", many.join(","));
    assert_eq!(print(&twice), text.replace("\"k7\":7,", "\"k7\":null,"));
}

#[test]
fn strings() {
    for (text, printed) in [
        (r#""\u0041\/\"\\""#, r#""A/\"\\""#),
        (r#""\b\f\n\r\t\u0008\u000B\u001f""#, r#""\b\f\n\r\t\b\u000b\u001f""#),
        (r#""\u2028\u007f""#, "\"\u{2028}\u{7f}\""),
        (r#""\uD83D\uDE00""#, "\"😀\""),
        (r#""\uD800""#, r#""\ud800""#),
        (r#""\uDE00\uD83D""#, r#""\ude00\ud83d""#),
        (r#""\uD83D\uD83D\uDE00""#, "\"\\ud83d😀\""),
        (r#""\uD83Dx""#, r#""\ud83dx""#),
        // The corners of the surrogates.
        (r#""\ud800\udc00\udbff\udfff""#, "\"\u{10000}\u{10ffff}\""),
        (r#""\udbff\ue000\ud7ff\udc00""#, "\"\\udbff\u{e000}\u{d7ff}\\udc00\""),
    ] {
        assert_eq!(print(text), printed, "{text}");
    }
}

#[test]
fn pointers_say_where() {
    for (text, pointer, why) in [
        ("9007199254740993", "", Why::InexactInteger),
        ("-9007199254740993", "", Why::InexactInteger),
        ("[0,[1],1e400]", "/2", Why::OutOfRange),
        (r#"{"a":{"b":[{},{"c":12345678901234567890}]}}"#, "/a/b/1/c", Why::InexactInteger),
        (r#"{"a":[],"~/":[0,1e999]}"#, "/~0~1/1", Why::OutOfRange),
        (r#"{"\n\u00e9":1e999}"#, "/\né", Why::OutOfRange),
        (r#"{"x\ud800":1e999}"#, "/x\\ud800", Why::OutOfRange),
        (r#"{"a":[1,]}"#, "/a/1", Why::Invalid { offset: 8, expected: "a value" }),
    ] {
        assert_eq!(fail(text), Unrepresentable { pointer: pointer.into(), why }, "{text}");
    }
    let error = append(b"[1e400]", "/data", Order::AsSet, &mut Vec::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "unrepresentable at /data/0: a number beyond the range of a double"
    );
}

#[test]
fn what_is_not_json() {
    for text in [
        "",
        " ",
        "nul",
        "truex",
        "[",
        "]",
        "{",
        "}",
        "[1",
        "[1,",
        "[,1]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{,}",
        "1 2",
        "01",
        "1.",
        ".1",
        "-",
        "+1",
        "1e",
        "1e+",
        "0x1",
        "NaN",
        "Infinity",
        "'a'",
        "\"a",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u+123\"",
        "\"\n\"",
        "\u{feff}1",
        "\u{a0}1",
        "[1}",
        "{\"a\":1]",
        "--1",
        "1e5.5",
        "\"\\ud83d\\u\"",
        "/**/1",
        "[1]]",
    ] {
        assert!(matches!(fail(text).why, Why::Invalid { .. }), "{text}");
    }
    for text in [&b"\"\xff\""[..], b"\"\xed\xa0\x80\"", b"\"\xc0\x80\""] {
        let expected = Why::Invalid { offset: 1, expected: "UTF-8" };
        assert_eq!(canonicalize(text).unwrap_err().why, expected);
    }
}

#[test]
fn depth_is_bounded_and_costs_no_stack() {
    let nested = |open: &str, close: &str, depth| open.repeat(depth) + "1" + &close.repeat(depth);
    print(&nested("[", "]", MAX_DEPTH));
    print(&nested("{\"a\":", "}", MAX_DEPTH));
    for text in [
        nested("[", "]", MAX_DEPTH + 1),
        nested("[", "]", 100_000),
        nested("{\"a\":", "}", 100_000),
        "[".repeat(100_000),
    ] {
        assert_eq!(fail(&text).why, Why::TooDeep);
    }
}

#[test]
fn sorted_keys_at_every_level() {
    let sort = |text: &str| {
        let mut out = Vec::new();
        append(text.as_bytes(), "", Order::Sorted, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    for (text, printed) in [
        (
            r#"{"b":{"d":1,"c":2},"a":[{"z":1,"y":2}]}"#,
            r#"{"a":[{"y":2,"z":1}],"b":{"c":2,"d":1}}"#,
        ),
        (r#"{"b":1,"a":2,"b":3}"#, r#"{"a":2,"b":3}"#),
        (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        // Numbers as JavaScript has them, and only then the rest.
        (r#"{"b":1,"10":2,"9":3,"01":4,"":5}"#, r#"{"9":3,"10":2,"":5,"01":4,"b":1}"#),
        // A key is less than what it begins; upper case comes first; code points, not UTF-16.
        (r#"{"ab":1,"a b":2,"a":3,"B":4}"#, r#"{"B":4,"a":3,"a b":2,"ab":1}"#),
        (r#"{"😀":1,"\uffff":2,"\u0001":3,"!":4}"#, r#"{"\u0001":3,"!":4,"￿":2,"😀":1}"#),
        // What is escaped sorts as what it stands for.
        (
            r##"{"\\":1,"#":2,"\"":3,"]":4,"\n":5,"\ud800":6}"##,
            r##"{"\n":5,"\"":3,"#":2,"\\":1,"]":4,"\ud800":6}"##,
        ),
    ] {
        assert_eq!(sort(text), printed, "{text}");
        assert_eq!(sort(printed), printed, "{text}");
        assert_eq!(print(printed), printed, "{text}");
    }
}

#[test]
fn an_error_leaves_the_output_as_it_was() {
    let mut out = b"before".to_vec();
    append(b"{\"a\":[1,2,", "", Order::AsSet, &mut out).unwrap_err();
    assert_eq!(out, b"before");
    append(b" [ 1 ] ", "", Order::AsSet, &mut out).unwrap();
    assert_eq!(out, b"before[1]");
}
