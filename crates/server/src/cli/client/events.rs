//! Server-sent events, taken apart as they come.

use anyhow::Result;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

/// A stream of them.
#[derive(Debug)]
pub(in crate::cli) struct Events {
    body: Incoming,
    blocks: Blocks,
}

/// What one block of lines says; empty where it says nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Told {
    pub name: String,
    pub id: String,
    pub data: String,
}

impl Events {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, blocks: Blocks::default() }
    }

    /// The next block; `None` at the end of the stream.
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<Told>> {
        loop {
            if let Some(block) = self.blocks.take() {
                return Ok(Some(Told::parse(&block)));
            }
            match self.body.frame().await.transpose()? {
                None => return Ok(None),
                Some(frame) => self.blocks.push(frame.data_ref().map_or(&[], |data| data)),
            }
        }
    }
}

impl Told {
    fn parse(block: &str) -> Self {
        let field = |name: &str| {
            let values = block.lines().filter_map(|line| line.strip_prefix(name));
            let values = values.map(|value| value.strip_prefix(' ').unwrap_or(value));
            values.collect::<Vec<_>>().join("\n")
        };
        Self { name: field("event:"), id: field("id:"), data: field("data:") }
    }
}

/// Cuts bytes at empty lines.
#[derive(Debug, Default)]
struct Blocks {
    bytes: Vec<u8>,
    /// Looked through so far.
    looked: usize,
}

impl Blocks {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn take(&mut self) -> Option<String> {
        let end = self.bytes[self.looked..].windows(2).position(|pair| pair == b"\n\n");
        let Some(end) = end else {
            self.looked = self.bytes.len().saturating_sub(1);
            return None;
        };
        let rest = self.bytes.split_off(self.looked + end + 2);
        let block = std::mem::replace(&mut self.bytes, rest);
        self.looked = 0;
        Some(String::from_utf8_lossy(&block).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_cut_wherever_the_bytes_were() {
        let text = "retry: 2000\nid: evt_1\n\n:\n\nid:evt_2\nevent: gap\ndata: {\"a\":\"ü\"}\n\n";
        for size in 1..9 {
            let mut blocks = Blocks::default();
            let mut told = Vec::new();
            for bytes in text.as_bytes().chunks(size) {
                blocks.push(bytes);
                while let Some(block) = blocks.take() {
                    told.push(Told::parse(&block));
                }
            }
            let gap =
                Told { name: "gap".into(), id: "evt_2".into(), data: "{\"a\":\"ü\"}".into() };
            assert_eq!(told[0].id, "evt_1");
            assert_eq!((&told[1], &told[2]), (&Told::default(), &gap));
        }
    }
}
