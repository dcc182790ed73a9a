//! The suite that every backend must pass. Each function is one claim; a backend's test runs them all
//! on stores that its factory opens.

mod catalogue;
mod controls;
mod direct;
mod gates;
mod inbound;
mod leads;
mod lists;
mod maintenance;
mod publishing;
mod recount;
mod replays;
mod settling;
mod shared_sql;
mod sources;
mod world;

pub use catalogue::*;
pub use controls::*;
pub use direct::*;
pub use gates::*;
pub use inbound::*;
pub use leads::*;
pub use lists::*;
pub use maintenance::*;
pub use publishing::*;
pub use recount::*;
pub use replays::*;
pub use settling::*;
pub use shared_sql::*;
pub use sources::*;
pub use world::{Factory, World};

/// Calls a macro with the name of every claim.
#[macro_export]
macro_rules! conformance_suite {
    ($run:ident) => {
        $run! {
            publishing_answers_commits_and_hands_over
            accepted_events_are_told_once
            payloads_come_back_byte_for_byte
            the_same_key_gets_the_same_answer
            another_body_under_a_key_is_a_conflict
            a_client_id_is_accepted_once
            what_was_seen_is_known
            another_event_under_a_client_id_writes_nothing
            repetitions_in_one_batch_are_found
            a_large_fanout_is_handed_over_whole
            one_bad_publication_fails_alone
            what_was_committed_survives_a_restart
            a_closed_store_says_so
            a_first_success_is_read_back_with_its_attempt
            a_retry_moves_the_row_and_keeps_its_attempts
            a_dead_letter_keeps_its_reason_and_error
            an_ordered_lane_keeps_its_places
            a_settlement_of_something_cancelled_changes_nothing
            a_settlement_written_twice_counts_once
            health_is_written_with_the_settlement
            a_settlement_can_switch_a_webhook_off
            announcements_are_published_with_the_settlement
            an_ending_without_an_attempt_is_told
            pages_are_the_least_rows_of_a_lane
            lanes_are_summed_up
            retrying_by_hand_takes_the_failure_back
            retrying_needs_an_ended_delivery_of_the_tenant
            an_expiry_that_lies_ahead_outlives_a_retry
            cancelling_ends_what_is_owed
            what_a_direct_delivery_brings_is_kept
            deliveries_are_found_by_what_they_tell_of
            what_was_brought_goes_with_its_delivery
            deleting_a_tenant_ends_its_direct_deliveries
            newer_progress_takes_the_place_of_older
            progress_keeps_to_its_interval
            progress_that_came_during_an_attempt_is_moved
            the_end_of_a_job_cancels_its_progress
            without_an_interval_each_progress_is_owed
            a_refused_change_supersedes_nothing
            jobs_are_kept_and_found
            a_job_is_found_by_what_others_call_it
            a_moved_version_is_a_conflict
            deadlines_are_found_in_their_order
            an_execution_tells_how_its_webhook_stands
            what_nobody_touches_goes_with_its_history
            leads_are_kept_and_found
            a_lead_stands_as_its_delivery_does
            old_leads_go_unless_they_are_owed
            webhooks_keep_their_revisions
            a_moved_revision_is_a_conflict
            a_change_is_all_or_nothing
            a_change_with_a_key_is_made_once
            keys_and_tenants_are_kept
            a_webhook_is_received_once
            what_was_received_goes_with_its_history
            lists_are_complete_whatever_maintenance_has_done
            lists_filter_and_page
            events_are_found_and_listed
            counts_follow_what_happens
            deleting_a_webhook_ends_its_deliveries
            what_expires_unseen_ends
            what_was_taken_while_its_webhook_went_is_delivered
            retention_takes_what_is_old_and_no_total
            counts_are_the_same_while_they_are_added_up
            retention_keeps_what_is_owed
            candidates_stand_as_their_deliveries_do
            large_candidates_are_left_in_the_store
            a_replay_moves_on_with_its_deliveries
            replays_are_listed_cancelled_and_forgotten
            what_ended_with_a_webhook_is_found_again
            random_histories_reconcile
            shared_statements_prepare
        }
    };
}
