//! What each sender sends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidings_wire::sign::{MacKey, Signer, hmac_hex, standard};
use tidings_wire::verify::Scheme;

/// When they sign, in Unix seconds.
pub const NOW: i64 = 1_614_265_330;

/// One request of each scheme, as its sender makes it.
pub fn genuine(scheme: Scheme, secret: &str, body: &[u8]) -> Vec<(&'static str, String)> {
    let key = MacKey::from_key(secret.as_bytes());
    let now = NOW.to_string();
    let hex = |parts: &[&[u8]]| -> String {
        key.mac(parts).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let name = scheme.signature_header();
    match scheme {
        Scheme::Standard | Scheme::Svix => {
            let names = match scheme {
                Scheme::Standard => ["webhook-id", "webhook-timestamp"],
                _ => ["svix-id", "svix-timestamp"],
            };
            let signers = [Signer::Mac(key)];
            let value = standard(&signers, "msg_1", &now, body);
            vec![(names[0], "msg_1".into()), (names[1], now), (name, value)]
        }
        Scheme::OpenVideo | Scheme::ViewCreator => vec![(name, hmac_hex(&key, "", body))],
        Scheme::Stripe => {
            let mac = hex(&[now.as_bytes(), b".", body]);
            vec![(name, format!("t={now},v1={mac},v0={}", "0".repeat(64)))]
        }
        Scheme::Slack => {
            let mac = hex(&[b"v0:", now.as_bytes(), b":", body]);
            vec![("X-Slack-Request-Timestamp", now), (name, format!("v0={mac}"))]
        }
        Scheme::Shopify => {
            vec![(name, STANDARD.encode(key.mac(&[body])))]
        }
        _ => vec![(name, hmac_hex(&key, "sha256=", body))],
    }
}
