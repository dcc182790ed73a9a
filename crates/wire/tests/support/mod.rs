//! JSON texts that are as nasty as JSON allows, the same ones every time.

/// splitmix64: every run sees the same documents.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Keys that collide, that are array indices or nearly so, and that mean something to JavaScript.
const KEYS: &[&str] = &[
    "",
    "a",
    "b",
    "c",
    "\\u0061",
    "0",
    "1",
    "2",
    "10",
    "9",
    "00",
    "01",
    "-0",
    "-1",
    "1.0",
    "1e1",
    "\\u0031",
    " 1",
    "65535",
    "2147483647",
    "2147483648",
    "4294967293",
    "4294967294",
    "4294967295",
    "4294967296",
    "42949672940",
    "9007199254740991",
    "9007199254740993",
    "__proto__",
    "\\u005f_proto__",
    "constructor",
    "prototype",
    "toString",
    "toJSON",
    "length",
    "valueOf",
    "hasOwnProperty",
    "\\ud800",
    "\\uD800",
    "\\udfff",
    "\\ud83d\\ude00",
    "😀",
    "é",
    "e\u{301}",
    "\\/",
    "/",
    "\\\"",
    "~",
    "~1",
];

const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "0.0",
    "-0.0",
    "0e0",
    "-0E-5",
    "0e999999999999",
    "-0.0e-999999999999",
    "1e-999999999999",
    "1",
    "-1",
    "1.0",
    "10.00",
    "0.1",
    "0.10",
    "1e0",
    "1E+2",
    "1e-2",
    "123456789012345",
    "999999999999999",
    "9007199254740991",
    "9007199254740992",
    "9007199254740994",
    "4503599627370497.5",
    "-9007199254740992",
    "1152921504606846976",
    "100000000000000000000",
    "1000000000000000000000",
    "10000000000000000000000",
    "1e20",
    "1e21",
    "-1e21",
    "1e+21",
    "999999999999999868928",
    "1e22",
    "123456789012345680000.5",
    "1.5e300",
    "1e-6",
    "1e-7",
    "1.5e-6",
    "1.5e-7",
    "0.000001",
    "0.0000001",
    "5e-324",
    "4e-324",
    "2e-324",
    "1e-400",
    "-1e-400",
    "2.2250738585072014e-308",
    "2.2250738585072011e-308",
    "1.7976931348623157e308",
    "1.7976931348623158e308",
    "9007199254740993.0",
    "0.1e1",
    "0.30000000000000004",
    "4.35",
    "2.675",
    "123456.789e3",
    "1.0000000000000002",
    "179769313486231570000e288",
    "18014398509481984.0",
    "9.5367431640625e-7",
    "0.5",
    "1e23",
    "8.41e21",
    "2.0e-3",
    "5e-7",
    "1.2e-7",
    "0.1000000000000000055511151231257827021181583404541015625",
];

const STRING_PIECES: &[&str] = &[
    "a",
    "text",
    " ",
    "\\\"",
    "\\\\",
    "\\/",
    "/",
    "\\b",
    "\\f",
    "\\n",
    "\\r",
    "\\t",
    "\u{7f}",
    "é",
    "\u{2028}",
    "\u{2029}",
    "\\u2028",
    "\u{feff}",
    "\u{ffff}",
    "😀",
    "\\ud83d\\ude00",
    "\\uD83D\\uDE00",
    "\\ud83d",
    "\\ude00",
    "\\ud83d\\ud83d\\ude00",
    "\\ude00\\ud83d",
    "\\ud83d\\u0041",
    "\\ud83d😀",
    "\\ud83dude00",
    "\\u0000",
    "\\u001f",
    "\\u0022",
    "\\u005c",
    "\\u002f",
    "\\u007f",
    "\\u00e9",
    "\\uFFFF",
    "\\ufffd",
    "<",
    ">",
    "&",
    "'",
];

/// A JSON text. Every integer in it is the value of a double.
pub fn document(chance: &mut Chance) -> String {
    let mut text = String::new();
    value(chance, 0, &mut text);
    // Deeper than a parser that recurses likes.
    if chance.below(100) == 0 {
        for _ in 0..chance.below(500) {
            text = match chance.below(2) {
                0 => format!("[{text}]"),
                _ => format!("{{\"{}\":{text}}}", chance.one_of(KEYS)),
            };
        }
    }
    text
}

/// A text, as a program holds it.
pub fn text(chance: &mut Chance) -> String {
    let mut text = String::new();
    for _ in 0..chance.below(8) {
        match chance.below(3) {
            0 => text.extend(char::from_u32(chance.below(0x11_0000) as u32)),
            1 => text.push(char::from(chance.below(128) as u8)),
            _ => text.push_str(chance.one_of(&[
                "\u{2028}",
                "\u{2029}",
                "\u{feff}",
                "\0",
                "\"",
                "\\",
                "/",
                "10",
                "__proto__",
                "é",
                "😀",
            ])),
        }
    }
    text
}

fn value(chance: &mut Chance, depth: usize, out: &mut String) {
    space(chance, out);
    let kinds = if depth > 5 { 5 } else { 9 };
    match chance.below(kinds) {
        0 => out.push_str(chance.one_of(&["true", "false", "null"])),
        1 | 2 => number(chance, out),
        3 | 4 => string(chance, out),
        5 | 6 => list(chance, out, ['[', ']'], |chance, out| value(chance, depth + 1, out)),
        _ => list(chance, out, ['{', '}'], |chance, out| {
            space(chance, out);
            key(chance, out);
            space(chance, out);
            out.push(':');
            value(chance, depth + 1, out);
        }),
    }
    space(chance, out);
}

fn list(
    chance: &mut Chance,
    out: &mut String,
    brackets: [char; 2],
    mut item: impl FnMut(&mut Chance, &mut String),
) {
    out.push(brackets[0]);
    // Mostly few; sometimes more than are compared one by one.
    let most = chance.one_of(&[3, 6, 24]);
    let count = chance.below(most);
    for at in 0..count {
        if at > 0 {
            out.push(',');
        }
        item(chance, out);
    }
    if count == 0 {
        space(chance, out);
    }
    out.push(brackets[1]);
}

fn space(chance: &mut Chance, out: &mut String) {
    if chance.below(4) == 0 {
        out.push_str(chance.one_of(&[" ", "\n", "\r\n", "\t", "  \t "]));
    }
}

fn key(chance: &mut Chance, out: &mut String) {
    match chance.below(8) {
        0 => string(chance, out),
        1 => out.push_str(&format!("\"{}\"", chance.bits() >> chance.below(64))),
        _ => out.push_str(&format!("\"{}\"", chance.one_of(KEYS))),
    }
}

fn string(chance: &mut Chance, out: &mut String) {
    out.push('"');
    for _ in 0..chance.below(6) {
        match chance.below(6) {
            0 => out.push_str(&format!("\\u{:04x}", chance.bits() as u16)),
            1 => out.push_str(&format!("\\u{:04X}", chance.bits() as u16)),
            _ => out.push_str(chance.one_of(STRING_PIECES)),
        }
    }
    out.push('"');
}

fn number(chance: &mut Chance, out: &mut String) {
    let double = f64::from_bits(chance.bits());
    let small = (chance.bits() >> chance.below(64)) as i64 % 1_000_000_000_000_000;
    match chance.below(8) {
        0 if double.is_finite() => out.push_str(&format!("{double:e}")),
        // Digits that say nothing: 1.50000e+003
        1 if double.is_finite() => {
            let text = format!("{double:e}");
            let (digits, exponent) = text.split_once('e').expect("`{:e}` writes an exponent");
            let point = if digits.contains('.') { "" } else { "." };
            let sign = if exponent.starts_with('-') { "-" } else { "+" };
            let exponent = exponent.trim_start_matches('-');
            out.push_str(&format!("{digits}{point}0000E{sign}00{exponent}"));
        }
        2 => out.push_str(&format!("{small}")),
        3 => out.push_str(&format!("{}", small as f64 / 1000.0)),
        4 => out.push_str(&format!("{small}.{:03}", chance.below(1000))),
        5 => out.push_str(&format!("{small}e{}", chance.below(40) as i64 - 30)),
        _ => out.push_str(chance.one_of(NUMBERS)),
    }
}
