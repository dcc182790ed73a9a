//! `GET /`: what runs, at a glance.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tidings_core::delivery::Status;
use tidings_store::catalogue::tenants::DEFAULT;
use tidings_store::history::deliveries::DeliveryFilter;

use super::App;
use super::deliveries::view::DeliveryView;
use super::html::{self, Escaped};
use super::problem::Result;

/// Deliveries shown.
const LAST: u32 = 20;

/// A small page: what runs, and, on a server without keys, its last deliveries.
#[utoipa::path(get, path = "/", tag = "operations", operation_id = "home",
    responses((status = 200, description = "A page", content_type = "text/html")))]
pub async fn home(State(app): State<Arc<App>>) -> Result<Response> {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<header><h1>Tidings <span class=\"muted\">{}</span></h1>\
         <p><a href=\"/docs\">API</a> · <a href=\"/metrics\">Metrics</a> · \
         <a href=\"/readyz\">Ready?</a></p></header>\n<main>",
        env!("CARGO_PKG_VERSION")
    );
    engine(&app, &mut out);
    // A browser sends no key: where keys are needed, nothing of a tenant is shown.
    if app.keyring.is_locked() {
        out.push_str(
            "<p class=\"muted\">Deliveries are shown to those with a key: see the API.</p>\n",
        );
    } else {
        tenant(&app, &mut out).await?;
    }
    out.push_str("</main>\n");
    Ok(html::respond(html::page("Tidings", &out)))
}

fn engine(app: &App, out: &mut String) {
    let state = *app.engine.borrow();
    let stopping = if *app.stopping.borrow() { "stopping" } else { "running" };
    let _ = writeln!(
        out,
        "<h2>Engine</h2>\n<ul class=\"facts\"><li><b>{stopping}</b>api, worker</li>\
         <li><b>{}</b>attempts in flight</li><li><b>{}</b>waiting to be written</li>\
         <li><b>{}</b>deliveries in memory</li></ul>",
        state.in_flight, state.unsettled, state.held_rows
    );
}

async fn tenant(app: &App, out: &mut String) -> Result<()> {
    let totals = app.store.tenant_totals(DEFAULT).await?;
    let _ = writeln!(
        out,
        "<h2>Deliveries</h2>\n<ul class=\"facts\"><li><b>{}</b>accepted</li><li><b>{}</b>owed</li>\
         <li><b>{}</b>delivered</li><li><b>{}</b>dead letters</li></ul>",
        totals.counts.accepted,
        totals.pending + totals.retrying,
        totals.counts.success,
        totals.counts.failed
    );
    let filter = DeliveryFilter { limit: LAST, ..DeliveryFilter::default() };
    let records = app.store.deliveries(DEFAULT, &filter).await?;
    if records.is_empty() {
        out.push_str("<p class=\"muted\">None yet.</p>\n");
        return Ok(());
    }
    out.push_str("<table><tr><th>Delivery</th><th>Event</th><th>To</th><th>Status</th><th>Attempts</th><th>Last answer</th></tr>\n");
    for record in &records {
        row(&DeliveryView::new(record, app), record.status, out);
    }
    out.push_str("</table>\n");
    Ok(())
}

fn row(view: &DeliveryView, status: Status, out: &mut String) {
    let answered = view.response_status.map(|code| format!("HTTP {code}"));
    let met = view.error_message.clone().or(answered).unwrap_or_default();
    let _ = writeln!(
        out,
        "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        Escaped(&view.id),
        Escaped(view.event_type.as_deref().unwrap_or_default()),
        Escaped(view.url.as_deref().unwrap_or_default()),
        Escaped(status.as_str()),
        view.attempt_count,
        Escaped(&met)
    );
}
