//! Where clips are: the worker names them in the bucket into which it has put them, users get them from
//! the CDN before it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

/// A member of an object, and what is in it, as it was written.
type Members = BTreeMap<String, Box<RawValue>>;

/// The address at the CDN of what lies in a bucket: `https://bucket.s3.amazonaws.com/key`,
/// `https://bucket.s3.region.amazonaws.com/key` or `s3://bucket/key`. `None`: it lies elsewhere.
#[must_use]
pub fn at_cdn(url: &str, domain: &str) -> Option<String> {
    let key = match url.strip_prefix("s3://") {
        Some(rest) => rest.split_once('/').filter(|(bucket, _)| !bucket.is_empty())?.1,
        None => {
            let (host, key) = url.strip_prefix("https://")?.split_once('/')?;
            key_of_bucket(host, key)?
        }
    };
    Some(format!("https://{domain}/{key}"))
}

/// Its key, if the host is that of a bucket. Names of buckets may have dots in them.
fn key_of_bucket<'k>(host: &str, key: &'k str) -> Option<&'k str> {
    let (bucket, region) = host.strip_suffix(".amazonaws.com")?.rsplit_once(".s3")?;
    let is_region = region.is_empty() || region.starts_with(['.', '-']);
    (!bucket.is_empty() && is_region).then_some(key)
}

/// An output whose clips have their `s3_url` at the CDN. Nothing else in it changes, but that the
/// members of objects are sorted; and of one in which no clip lies in a bucket not even that.
#[must_use]
pub fn move_clips(output: &RawValue, domain: &str) -> Box<RawValue> {
    moved(output, domain).unwrap_or_else(|| output.to_owned())
}

fn moved(output: &RawValue, domain: &str) -> Option<Box<RawValue>> {
    let mut members: Members = serde_json::from_str(output.get()).ok()?;
    let mut clips: Vec<Members> = serde_json::from_str(members.get("clips")?.get()).ok()?;
    let mut has_moved = false;
    for clip in &mut clips {
        let Some(url) = clip.get_mut("s3_url") else { continue };
        let text: Option<String> = serde_json::from_str(url.get()).ok();
        if let Some(there) = text.and_then(|text| at_cdn(&text, domain)) {
            *url = to_raw_value(&there).ok()?;
            has_moved = true;
        }
    }
    if !has_moved {
        return None;
    }
    members.insert("clips".to_owned(), to_raw_value(&clips).ok()?);
    to_raw_value(&members).ok()
}

/// The clips in an output, each as it is there; none when it has no list of them.
#[must_use]
pub fn clips(output: &RawValue) -> Vec<&RawValue> {
    #[derive(Deserialize)]
    struct Made<'a> {
        #[serde(borrow)]
        clips: Vec<&'a RawValue>,
    }
    serde_json::from_str(output.get()).map_or_else(|_| Vec::new(), |made: Made<'_>| made.clips)
}
