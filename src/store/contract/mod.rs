//! Owns: the suite that every implementation of the store's contract passes.
//!
//! Must not know: SQL, files. `suite!` runs it on whatever a function makes.

pub(super) mod fixture;
pub(super) mod hints;
pub(super) mod hooks;
pub(super) mod journal;
pub(super) mod links;
pub(super) mod rows;
pub(super) mod stage;
pub(super) mod usage;

pub(super) use fixture::*;

macro_rules! suite {
    ($make:expr; $($file:ident::$claim:ident)*) => {
        $(#[test] fn $claim() { crate::store::contract::$file::$claim(&$make()); })*
    };
    ($make:expr) => {
        crate::store::contract::suite! { $make;
            rows::every_type_reads_back_as_written
            rows::rows_are_updated_deleted_and_counted
            rows::a_unique_field_refuses_a_second_record_and_names_itself
            rows::a_failed_job_leaves_nothing
            rows::new_records_come_with_link_and_match_and_a_refused_one_leaves_the_others
            rows::a_refused_row_may_be_skipped_and_the_rest_kept
            rows::small_jobs_share_a_commit_and_fail_alone
            links::parents_have_places_of_their_own_and_those_that_are_gone_are_found
            links::links_are_known_by_remote_id_and_read_back_whole
            links::a_second_link_of_a_record_or_remote_id_is_refused_whole
            links::live_links_and_links_under_other_mappings_are_paged
            links::keys_are_registered_once
            links::any_text_can_be_a_record_id
            hints::the_match_index_replaces_a_records_entries
            hints::a_bulk_load_changes_what_is_fast_and_nothing_else
            hints::a_hint_is_cleared_only_if_it_is_the_one_that_was_read
            hints::the_engines_own_writes_leave_no_hint
            hints::provenance_is_kept_per_field
            hints::rings_are_kept_per_binding_and_field
            hints::every_row_and_every_link_without_one_can_be_marked
            hints::a_note_is_kept_and_replaced
            hooks::a_delivery_is_taken_once_and_the_newest_of_a_record_waits
            hooks::a_record_is_kept_while_its_webhook_waits_alone
            hooks::too_many_that_wait_are_refused_and_a_record_that_waits_already_is_not
            hooks::a_pass_settles_what_came_before_it_at_its_upstream
            hooks::what_could_not_be_followed_waits_again_or_is_forgotten
            hooks::what_is_old_is_forgotten_and_what_waited_too_long_is_dead
            stage::observations_are_staged_matched_parked_and_unstaged
            stage::candidates_are_distinct_ordered_and_paged
            journal::one_intent_is_outstanding_per_record_and_binding
            journal::an_open_conflict_is_replaced_and_keeps_its_number
            journal::conflicts_are_found_by_field_and_paged
            journal::quarantine_is_replaced_filtered_and_cleared
            journal::a_halt_for_another_plan_gets_another_number
            journal::passes_are_paged_by_collection_and_outcome_and_keep_their_phases
            journal::passes_cursors_upstreams_and_history_read_back
            journal::a_record_is_found_by_its_own_or_any_remote_id
            usage::what_was_asked_of_an_upstream_adds_up_by_day_and_what_is_old_is_forgotten
            usage::whether_an_upstream_is_up_and_its_latency_read_back_and_old_latency_is_forgotten
            rows::a_panic_in_a_job_closes_the_store
        }
    };
}
pub(super) use suite;
