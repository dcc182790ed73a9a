//! A receiver that verifies, and takes each event once:
//!
//!     cargo run -p tidings-wire --features axum --example receiver -- 127.0.0.1:4242 whsec_…

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use axum::{Router, extract::FromRef, extract::State, routing::post};
use tidings_wire::extract::{Receiver, VerifiedBytes};
use tidings_wire::verify::{Scheme, Verifier};

#[derive(Clone, FromRef)]
struct App {
    receiver: Receiver,
    processed: Arc<Mutex<HashSet<String>>>, // a database in earnest
}

async fn take(State(app): State<App>, event: VerifiedBytes) {
    println!("{} bytes, verified", event.body.len());
    app.processed.lock().expect("nothing panics with it").extend(event.id);
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, address, secrets @ ..] = &arguments[..] else { return Err("ADDRESS SECRET…".into()) };
    let processed = Arc::<Mutex<HashSet<String>>>::default();
    let known = Arc::clone(&processed);
    let verifier = Verifier::new(Scheme::Standard, secrets)?
        .seen(move |id| known.lock().is_ok_and(|known| known.contains(id)));
    let app = App { receiver: Receiver::new(verifier, now_s), processed };
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("receiving on http://{}/", listener.local_addr()?);
    axum::serve(listener, Router::new().route("/", post(take)).with_state(app)).await?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the clock that a receiver hands in is this one")]
fn now_s() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}
