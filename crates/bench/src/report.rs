//! Figures, as a table for people and as one line of JSON for everything else.

use std::fmt::Write;

use serde_json::{Map, Value, json};

/// One line of the table. The name says the unit, in the table as in the JSON.
#[derive(Debug, Clone)]
pub struct Figure {
    pub scenario: &'static str,
    pub name: &'static str,
    pub relay: Option<f64>,
    pub plain_relay: Option<f64>,
    pub tidings: Option<f64>,
    /// Whether tidings over a relay says something.
    pub ratio: bool,
}

impl Figure {
    fn ratio_to(&self, relay: Option<f64>) -> Option<f64> {
        let (relay, tidings) = (relay?, self.tidings?);
        (self.ratio && relay > 0.0).then(|| tidings / relay)
    }

    fn ratio(&self) -> Option<f64> {
        self.ratio_to(self.relay)
    }

    fn ratio_to_plain(&self) -> Option<f64> {
        self.ratio_to(self.plain_relay)
    }
}

#[derive(Debug, Default)]
pub struct Report {
    pub figures: Vec<Figure>,
    /// What must not have happened: events lost, publishes refused.
    pub failures: Vec<String>,
}

impl Report {
    pub fn table(&self) -> String {
        let cell = |value: Option<f64>| value.map_or_else(|| "–".into(), number);
        let ratio =
            |value: Option<f64>| value.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let titles = ["scenario", "figure", "relay", "plain relay", "tidings", "ratio", "to plain"];
        let mut rows = vec![titles.map(String::from)];
        let mut scenario = "";
        for figure in &self.figures {
            let first = if figure.scenario == scenario { "" } else { figure.scenario };
            scenario = figure.scenario;
            rows.push([
                first.into(),
                figure.name.into(),
                cell(figure.relay),
                cell(figure.plain_relay),
                cell(figure.tidings),
                ratio(figure.ratio()),
                ratio(figure.ratio_to_plain()),
            ]);
        }
        aligned(&rows)
    }

    /// `{"machine":…,"single":{"relay":{"delivered_per_s":…},"tidings":{…},"ratio":{…}},…}`
    pub fn json(&self, machine: Value) -> Value {
        let mut scenarios = Map::new();
        for figure in &self.figures {
            let scenario = scenarios.entry(figure.scenario).or_insert_with(|| json!({}));
            let columns = [
                ("relay", figure.relay),
                ("plain_relay", figure.plain_relay),
                ("tidings", figure.tidings),
                ("ratio", figure.ratio()),
                ("ratio_to_plain", figure.ratio_to_plain()),
            ];
            for (column, value) in columns {
                if let Some(value) = value {
                    scenario[column][figure.name] = json!((value * 1_000.0).round() / 1_000.0);
                }
            }
        }
        scenarios.insert("machine".into(), machine);
        scenarios.insert("failures".into(), json!(self.failures));
        Value::Object(scenarios)
    }
}

/// Words to the left, numbers to the right.
fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let mut table = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let written = match column {
                0 | 1 => write!(line, "{cell:<width$}  "),
                _ => write!(line, "{cell:>width$}  "),
            };
            written.expect("writing to memory does not fail");
        }
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}

/// Three digits that count: 38,120 and 4.25, not 38120.4471.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    let plain = format!("{value:.decimals$}");
    let (whole, rest) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let figure = |name, relay: Option<f64>, tidings, ratio| Figure {
            scenario: "single",
            name,
            relay,
            plain_relay: relay.map(|relay| relay * 0.8),
            tidings,
            ratio,
        };
        Report {
            figures: vec![
                figure("delivered_per_s", Some(38_120.4), Some(22_872.24), true),
                figure("missing", Some(0.0), Some(0.0), false),
                figure("rss_mib", None, Some(41.26), false),
            ],
            failures: Vec::new(),
        }
    }

    #[test]
    fn the_table_is_aligned() {
        let expected = "\
scenario  figure            relay  plain relay  tidings  ratio  to plain
single    delivered_per_s  38,120       30,496   22,872   0.60      0.75
          missing               0            0        0
          rss_mib               –            –     41.3
";
        assert_eq!(report().table(), expected);
    }

    #[test]
    fn the_json_holds_every_figure() {
        let json = report().json(json!({"processors": 2}));
        assert_eq!(json["single"]["relay"]["delivered_per_s"], 38_120.4);
        assert_eq!(json["single"]["ratio"]["delivered_per_s"], 0.6);
        assert_eq!(json["single"]["ratio_to_plain"]["delivered_per_s"], 0.75);
        assert_eq!(json["single"]["tidings"]["rss_mib"], 41.26);
        assert_eq!(json["single"]["relay"].get("rss_mib"), None);
        assert_eq!(json["machine"]["processors"], 2);
        assert_eq!(json["failures"], json!([]));
    }

    #[test]
    fn numbers_keep_the_digits_that_count() {
        let shown = [0.0, 0.604, 9.87, 41.26, 999.9, 1_000.0, 1_234_567.0].map(number);
        assert_eq!(shown, ["0", "0.60", "9.87", "41.3", "1,000", "1,000", "1,234,567"]);
    }
}
