"""The fault table: what may go wrong, and the test that shows what becomes of it."""

import ast

import pytest

from tests.support.places import ROOT, place_of

TABLE = {
    "too large at every rung": (
        "delivery::test_one_take_that_is_too_large_in_every_format_comes_in_parts"
    ),
    "five takes too large together": (
        "delivery::test_five_takes_too_large_together_come_each_by_itself"
    ),
    "one of several takes fits nowhere": (
        "delivery::test_a_take_that_fits_nowhere_is_given_back_and_the_others_are_posted"
    ),
    "a smaller format is posted": (
        "routes::test_what_is_too_large_is_posted_in_a_smaller_format_that_says_so"
    ),
    "permission lost": "delivery::test_a_lost_permission_is_answered_through_the_interaction",
    "an interaction that can be answered no more": (
        "delivery::test_an_answer_that_comes_too_late_for_its_interaction_is_sent_directly"
    ),
    "a refusal for size where the bot may not look": (
        "delivery::test_what_was_refused_for_its_size_is_no_doubt_about_the_smaller_one"
    ),
    "a refusal for size by mistake": (
        "delivery::test_a_size_that_was_refused_by_mistake_is_soon_forgotten"
    ),
    "a preview that cannot be removed": (
        "discord_faults::test_a_preview_that_cannot_be_removed_yet_holds_nothing_up"
    ),
    "a fault while a status is told": (
        "status::test_what_fails_in_one_channel_holds_up_no_other_and_is_told_later"
    ),
    "channel deleted": "delivery::test_a_deleted_channel_sends_the_music_directly",
    "thread archived": "delivery::test_a_locked_thread_sends_the_music_directly",
    "member left, direct messages closed": (
        "delivery::test_a_member_who_left_or_closed_their_messages_is_logged_once_and_given_back"
    ),
    "Discord's 5xx and time-outs for days": (
        "discord_faults::test_days_of_discords_faults_are_waited_out_in_order_and_alone"
    ),
    "a refusal that is not of the channel": (
        "outcomes::test_what_is_not_said_of_the_channel_is_waited_out"
    ),
    "the edge keeps a failure from being told": (
        "outcomes::test_a_failure_that_the_edge_keeps_from_being_told_is_told_once_it_is_well"
    ),
    "a file that cannot be read": (
        "outcomes::test_a_file_that_cannot_be_read_holds_up_nobody_and_ends_refunded"
    ),
    "a fault of our own in a message": (
        "outcomes::test_a_fault_of_our_own_holds_up_nobody_and_is_told_with_its_number"
    ),
    "a fault of our own in a status": (
        "outcomes::test_a_fault_in_a_status_keeps_no_other_from_being_told"
    ),
    "a reason longer than a message": (
        "outcomes::test_a_reason_too_long_for_discord_is_cut_and_told"
    ),
    "a file larger than a message may hold": (
        "attachments::test_a_refusal_for_size_advises_what_may_fit_and_is_told_to_who_asked"
    ),
    "Discord is away at the start": (
        "start::test_what_waiting_mends_is_waited_out_while_one_engine_loads"
    ),
    "the network is away at the start": "start::test_a_network_that_is_away_is_waited_for",
    "the gateway closes for good, a token that was reset": (
        "start::test_a_gateway_that_closes_for_good_ends_it_with_a_sentence"
    ),
    "commands cannot be registered again": (
        "start::test_commands_that_are_registered_need_no_second_time"
    ),
    "a proxy": "start::test_everything_goes_by_the_proxy_that_the_environment_names",
    "the answer to an error fails": "answers::test_an_error_that_cannot_be_told_is_logged_once",
    "a long rate limit": "discord_faults::test_a_long_rate_limit_is_waited_for_as_long_as_it_says",
    "a crash between posting and recording": (
        "discord_faults::test_a_crash_between_posting_and_recording_does_not_post_twice"
    ),
    "an answer that never came": "routes::test_a_lost_answer_is_repeated_with_the_same_nonce",
    "a file that is gone": "routes::test_a_file_that_has_vanished_is_given_back",
    "out of memory beside others": "faults::test_out_of_memory_is_tried_again_alone",
    "out of memory alone": "faults::test_out_of_memory_is_tried_again_take_by_take",
    "out of memory at last": (
        "faults::test_out_of_memory_at_last_says_what_fits_and_is_refused_at_the_door"
    ),
    "out of memory in torch": (
        "model::test_out_of_memory_ends_what_renders_and_take_by_take_there_is_room"
    ),
    "an error of the GPU": (
        "model::test_an_error_of_the_gpu_ends_the_process_with_its_own_words"
    ),
    "a model that cannot fit": "faults::test_a_model_that_cannot_fit_is_refused_at_the_door",
    "the engine dies with what is cancelled": (
        "faults::test_nothing_stays_of_what_was_cancelled_as_the_engine_died"
    ),
    "the engine is killed": "kills::test_the_engine_is_killed_at_random_and_each_piece_is_made",
    "other people's jobs": "faults::test_other_peoples_jobs_never_fail_for_it",
    "too slow": "faults::test_a_job_over_its_deadline_is_tried_once_more_and_then_failed",
    "crash, signal, silence, garbage, lies": (
        "dispatcher::test_a_job_that_loses_the_engine_twice_fails_and_the_next_goes_on"
    ),
    "lies, one by one": "hostile_child::test_a_lie_costs_the_engine_its_place_and_nothing_else",
    "a cluster's actors, nodes and engines": (
        "losses::test_each_piece_is_made_once_while_actors_and_nodes_are_lost_and_join"
    ),
    "a cluster's head": "losses::test_a_bot_outlives_its_clusters_head_and_waits_for_the_next",
    "engines of a cluster, one by one": (
        "contract::test_an_engine_that_is_lost_says_why_and_another_starts"
    ),
    "a cluster's actor or link is silent": (
        "contract::test_whoever_falls_silent_on_the_way_to_an_engine_is_replaced"
    ),
    "a cluster's head is silent": (
        "cluster_nodes::test_a_cluster_that_never_answers_is_given_up_in_words"
    ),
    "an engine of a cluster is ended as it begins": (
        "contract::test_one_that_is_ended_at_once_leaves_the_way_open"
    ),
    "a node of another version": (
        "contract::test_a_node_of_another_fantasia_is_left_out_in_words"
    ),
    "deaf to a cancel": (
        "deafness::test_an_engine_that_goes_on_with_what_was_cancelled_is_lost"
    ),
    "lies about itself": "hostile_child::test_an_engine_that_lies_about_itself_does_not_start",
    "files that are none": "hostile_child::test_nothing_but_a_file_of_its_own_is_posted",
    "forgotten while a take is looked at": (
        "hostile_child::test_forgetting_as_a_take_is_looked_at_hurts_nobody_elses_piece"
    ),
    "announced as it is cancelled": (
        "hostile_child::test_a_take_that_is_announced_as_its_piece_is_cancelled_does_not_count"
    ),
    "the engine dies with a preview that is owed": (
        "previews::test_a_preview_that_is_owed_as_the_engine_dies_is_not_posted"
    ),
    "stopped before there is music": (
        "previews::test_stopping_a_second_attempt_before_it_has_music_waits_for_its_beginning"
    ),
    "stopped while it waits again": (
        "previews::test_stopping_what_waits_again_gives_what_was_heard"
    ),
    "a clock that is set": "time::test_a_clock_that_is_set_while_a_piece_renders_harms_no_piece",
    "a clock that is ahead for one start": (
        "time::test_a_clock_that_is_ahead_for_one_start_removes_nothing"
    ),
    "a speed that cannot be": "time::test_a_pace_that_cannot_be_is_measured_again",
    "a database that is held while a piece renders": (
        "faults::test_a_database_that_somebody_holds_is_waited_for_with_the_engine_alive"
    ),
    "the same, once": "dispatcher::test_a_job_that_loses_the_engine_once_is_rendered_by_the_next",
    "noise on the channel": "dispatcher::test_noise_on_the_channel_changes_nothing",
    "another family's model in the way": (
        "families::test_families_make_room_for_each_other_and_sound_as_before"
    ),
    "the engine is killed as a song is made": (
        "families::"
        "test_what_either_family_had_begun_is_made_by_the_engine_that_is_started_next"
    ),
    "too little memory in a step of a song": (
        "ace_model::test_too_little_memory_in_a_step_costs_that_order_alone"
    ),
    "a song of no numbers": "ace_model::test_what_is_no_number_is_no_music",
    "wrong weights of ACE-Step": "checkpoint::test_what_is_wrong_is_said_in_a_sentence",
    "a repository that is converted in vain": (
        "fetching::test_what_is_no_such_repository_is_named_and_nothing_of_it_stays"
    ),
    "a step that lasts longer than a silence may": (
        "pulse::test_a_long_step_shows_signs_of_life_for_as_long_as_it_should_last"
    ),
    "a step that should be over": (
        "process::test_a_child_that_shows_signs_of_life_is_lost_only_once_they_end"
    ),
    "an engine that never gets ready": "process::test_a_child_that_never_gets_ready_is_given_up",
    "an engine that cannot load": (
        "dispatcher::test_an_engine_that_cannot_load_stops_everything_with_its_sentence"
    ),
    "wrong weights": (
        "checkpoint_file::test_a_file_that_is_no_such_checkpoint_is_named_with_what_to_do"
    ),
    "a truncated checkpoint": "checkpoints::test_a_truncated_checkpoint_is_refused",
    "a tampered checkpoint": "checkpoints::test_a_checkpoint_with_code_in_it_is_refused",
    "numbers that are not finite": (
        "faults::test_numbers_that_are_not_finite_are_told_and_refunded_and_no_full_disk"
    ),
    "numbers that are not finite, in torch": (
        "numbers::test_a_take_of_no_numbers_fails_alone_and_those_beside_and_after_it_are_unchanged"
    ),
    "a checkpoint that takes more memory or time than there is": (
        "checkpoint_file::test_a_file_that_cannot_be_read_is_named_and_takes_nothing_along"
    ),
    "a full disk, the engine's": (
        "faults::test_a_file_that_the_real_engine_cannot_write_fails_its_job_alone"
    ),
    "a full disk, the database's": (
        "faults::test_a_full_database_refuses_and_goes_on_once_there_is_room"
    ),
    "little free disk": "bot::test_a_nearly_full_disk_refuses_new_jobs_and_breaks_nothing_else",
    "orphans of a killed bot": "faults::test_no_engine_outlives_the_bot_that_is_killed",
    "the bot dies, at every instant": (
        "crashes::test_no_instant_to_die_at_loses_or_doubles_anything"
    ),
    "the bot is killed": "kills::test_kills_at_random_lose_nothing",
    "the demo is killed": (
        "kills::test_the_demo_is_killed_at_random_and_what_it_accepted_is_delivered"
    ),
    "all of it at once": "soak::test_a_storm_breaks_no_promise",
    "SIGTERM, SIGINT, and once more": "owner::test_a_signal_drains_and_a_second_one_stops",
    "cards as the bot ends": "farewell::test_a_stop_leaves_no_card_that_tells_what_is_past",
    "a message being sent as the bot ends": (
        "farewell::test_what_is_being_sent_as_the_bot_ends_is_no_error_and_is_sent_by_the_next"
    ),
    "/studio drain": "owner::test_drain_lets_what_renders_end_and_closes",
    "/studio pause and resume": (
        "owner::test_a_paused_studio_queues_and_says_so_also_after_a_restart"
    ),
    "one of two engines dies": (
        "fleet::test_the_death_of_one_hands_back_its_own_piece_and_no_other"
    ),
    "one of two engines hangs, lies or sends garbage": (
        "fleet::test_one_that_hangs_lies_or_dies_costs_the_others_nothing"
    ),
    "one of two engines cannot start": (
        "fleet::test_an_engine_that_cannot_start_leaves_the_other_at_work_and_says_so_once"
    ),
    "one of two engines is out of memory": (
        "fleet::test_what_ran_out_of_memory_is_alone_on_its_engine_and_the_other_goes_on"
    ),
    "too long for one engine": (
        "fleet::test_what_is_too_long_for_one_engine_goes_to_a_larger_one"
    ),
    "the idle lane over two engines": (
        "fleet::test_only_one_engine_makes_room_for_one_who_pays"
    ),
    "an engine that cannot be killed, or leaves a helper": (
        "process::test_what_a_child_leaves_behind_keeps_nobody_from_starting_another"
    ),
    "an order that cannot be handed to a node": (
        "contract::test_one_that_cannot_be_handed_an_order_says_why_at_once_and_another_starts"
    ),
    "an actor dies": (
        "contract::test_what_an_actor_ran_that_dies_is_over_and_ray_begins_it_on_no_other"
    ),
    "stop and extend over two engines": (
        "fleet::test_a_stop_is_for_its_own_piece_and_another_engine_goes_on_from_it"
    ),
    "engines that load on one computer": (
        "gone_engines::test_engines_of_one_computer_load_one_after_the_other"
    ),
    "/studio engine pause and resume": (
        "several_engines::test_an_engine_that_is_paused_ends_what_it_renders_and_starts_nothing_else"
    ),
    "/studio cancel and stats": (
        "owner::test_the_owner_cancels_any_piece_and_sees_how_the_studio_does"
    ),
    "backup of a running bot": "backup::test_a_backup_is_taken_while_the_bot_runs_and_put_back",
    "restore under a running bot": (
        "backup::test_a_running_bot_is_not_restored_under_its_feet"
    ),
    "a backup that is none, or newer": "backup::test_what_is_no_sound_backup_changes_nothing",
    "a damaged database": "backup::test_a_damaged_database_is_refused_and_left_as_it_is",
    "another database in the folder, an older copy, a lost one": (
        "sweeping::test_a_swapped_database_costs_no_music_and_gives_no_number_twice"
    ),
    "a restore of a backup that knows less": (
        "backup::test_a_restore_says_what_music_it_does_not_find_and_takes_none_away"
    ),
    "folders and links in the data folder": (
        "sweeping::test_folders_and_links_break_no_start_and_are_not_followed"
    ),
    "the bot dies before files are removed": (
        "sweeping::test_what_was_to_go_when_the_bot_died_goes_at_the_next_start"
    ),
    "a file that cannot be removed": (
        "sweeping::test_a_file_that_cannot_be_removed_holds_up_no_other"
    ),
    "a database that another program holds": (
        "storage::test_a_database_that_is_held_is_called_busy_and_nobody_waits_long"
    ),
    "a database that is damaged while the bot runs": (
        "storage::test_a_database_that_is_damaged_while_the_bot_runs_is_told_in_sentences"
    ),
    "a database of another user": "storage::test_a_database_of_another_user_is_explained",
    "a disk without locks": "storage::test_a_disk_without_locks_is_not_another_fantasia",
    "a member with thousands of pieces is forgotten": (
        "long_histories::test_others_have_their_turn_while_many_pieces_are_forgotten"
    ),
    "what could not be posted crowds the disk": (
        "owner::test_what_could_not_be_posted_goes_like_any_other_and_first"
    ),
    "KEEP_DAYS": (
        "owner::test_delivered_music_is_kept_for_so_many_days_and_what_is_owed_for_ever"
    ),
    "KEEP_GB": (
        "owner::test_too_much_music_goes_oldest_first_but_not_what_another_goes_on_from"
    ),
    "metrics and health": "owner::test_metrics_and_health_are_served",
    "health while Discord is away or the model loads": (
        "owner::test_health_is_good_while_there_is_nothing_that_a_restart_would_mend"
    ),
    "health once a restart would mend it": (
        "owner::test_health_is_bad_when_a_task_ended_or_nothing_goes_on"
    ),
    "log lines": "owner::test_each_change_is_one_line_with_whom_it_is_about",
    "line breaks in the log": "owner::test_nothing_that_is_quoted_breaks_a_line_of_the_log",
    "the systemd unit": "deploy::test_systemd_finds_the_unit_sound",
    "who fills the queue": "fairness::test_who_fills_the_queue_is_not_before_a_newcomer",
    "the longest wait": "fairness::test_nobody_waits_longer_than_the_formula_says",
    "expected times": "simulated_day::test_over_a_day_expected_times_are_honest",
    "the idle lane": "fairness::test_the_idle_lane_charges_nothing_and_gives_way",
    "/queue": "fairness::test_the_queue_shows_what_each_may_see",
    "pings and markup in a prompt": "bot::test_a_prompt_pings_nobody_and_is_no_markup",
    "file permissions": "backup::test_what_the_bot_writes_is_its_owners_alone",
    "the token": "process::test_the_token_is_kept_from_the_child",
    "ids of another server": "forged::test_nothing_of_another_server_is_reached",
    "ids of another member": "forged::test_nothing_of_another_member_is_reached",
    "ids that were made up": "forged::test_values_that_were_never_offered_are_refused",
}  # fmt: skip


@pytest.mark.parametrize("fault", TABLE)
def test_each_fault_has_its_test(fault: str) -> None:
    file, test = TABLE[fault].split("::")
    tree = ast.parse((ROOT / place_of(file)).read_text())
    names = {getattr(node, "name", None) for node in tree.body}
    assert test in names
