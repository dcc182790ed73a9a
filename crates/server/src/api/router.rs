//! Every route, on one screen.

use std::sync::Arc;

use axum::Router;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::deliveries::{attempts, cancel, dead_letters, get, list, publish, redrive, retry};
use super::{
    App, events, executions, home, inbound, jobs, keys, leads, live, nodes, openapi, ops, outer,
    profiles, replays, stats, tenants, webhook_delivery, webhooks, webhooks_keys,
};

/// The whole API; on a node that does not serve it, what operators and their tools ask for.
pub fn router(app: Arc<App>) -> Router {
    let routes = if app.settings.roles.api { routes() } else { operations() };
    let (routes, _openapi) = routes.split_for_parts();
    routes
        .fallback(outer::no_such_path)
        .method_not_allowed_fallback(outer::no_such_method)
        .with_state(app)
}

/// The routes with their descriptions.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(events::publish::publish_events, events::list::list_events))
        .routes(routes!(events::get::get_event))
        .routes(routes!(webhooks::create::create_webhook, webhooks::list::list_webhooks))
        .routes(routes!(
            webhooks::get::get_webhook,
            webhooks::update::update_webhook,
            webhooks::patch::patch_webhook,
            webhooks::delete::delete_webhook
        ))
        .routes(routes!(webhooks::test::test_webhook))
        .routes(routes!(webhooks::stats::webhook_stats))
        .routes(routes!(webhooks::health::webhook_health))
        .routes(routes!(webhooks::deliveries::webhook_deliveries))
        .routes(routes!(webhooks::rotate_secret::rotate_secret))
        .routes(routes!(webhooks::pause::pause_webhook))
        .routes(routes!(webhooks::resume::resume_webhook))
        .routes(routes!(replays::start::start_replay))
        .routes(routes!(replays::list::list_replays))
        .routes(routes!(replays::get::get_replay))
        .routes(routes!(replays::cancel::cancel_replay))
        .routes(routes!(profiles::list_profiles))
        .routes(routes!(webhooks_keys::webhooks_keys))
        .routes(routes!(webhooks_keys::webhooks_keys_of_tenant))
        .routes(routes!(list::list_deliveries, publish::publish_delivery))
        .routes(routes!(get::get_delivery))
        .routes(routes!(attempts::list_attempts))
        .routes(routes!(retry::retry_delivery))
        .routes(routes!(retry::retry_webhook_delivery))
        .routes(routes!(cancel::cancel_delivery))
        .routes(routes!(dead_letters::list_dead_letters))
        .routes(routes!(redrive::redrive))
        .routes(routes!(stats::stats))
        .routes(routes!(live::sse::live))
        .routes(routes!(inbound::receive::receive))
        .routes(routes!(inbound::list::list_inbound))
        .routes(routes!(live::socket::live_socket))
        .routes(routes!(live::notifications::notifications))
        .routes(routes!(jobs::create::submit_job, jobs::list::list_jobs))
        .routes(routes!(jobs::get::get_job, jobs::report::report_job))
        .routes(routes!(jobs::cancel::cancel_job))
        .routes(routes!(jobs::clips::list_clips))
        .routes(routes!(executions::create::execute))
        .routes(routes!(executions::list::list_executions))
        .routes(routes!(executions::get::get_execution))
        .routes(routes!(executions::report::report_execution_job))
        .routes(routes!(leads::create::create_lead, leads::list::list_leads))
        .routes(routes!(leads::get::get_lead))
        .routes(routes!(
            webhook_delivery::create::create_webhook_delivery,
            webhook_delivery::list::list_webhook_deliveries
        ))
        .routes(routes!(tenants::list::list_tenants, tenants::create::create_tenant))
        .routes(routes!(tenants::patch::patch_tenant, tenants::delete::delete_tenant))
        .routes(routes!(keys::list_keys, keys::create_key))
        .routes(routes!(keys::revoke_key))
        .routes(routes!(nodes::list_nodes))
        .routes(routes!(home::home))
        .routes(routes!(openapi::openapi))
        .routes(routes!(openapi::docs))
        .merge(operations())
}

fn operations() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(ops::livez))
        .routes(routes!(ops::readyz))
        .routes(routes!(ops::healthz))
        .routes(routes!(ops::metrics))
}
