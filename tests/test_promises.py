"""What the README promises, in its own words and mostly its order, and the test that holds each.

A promise that changes there changes here, and so does the test.
"""

import ast
import re
from functools import cache

import pytest

from tests.support.places import ROOT, place_of

PROMISES: list[tuple[str, ...]] = [
    (
        "Only what was delivered can be saved",
        "money::test_what_could_not_be_posted_is_neither_saved_nor_extended",
        "money::test_a_finished_take_is_not_had_while_the_others_render",
    ),
    (
        "whose beginning was posted is no longer cancelled but stopped",
        "money::test_to_cancel_what_was_heard_is_to_stop_it",
        "forgetting::test_the_beginning_that_was_posted_stays_charged",
    ),
    (
        "the studio fails is refunded whole",
        "money::test_what_the_studio_fails_is_refunded_though_it_was_heard",
    ),
    (
        "After a second piece on one UTC day that Discord takes nowhere",
        "post_again::test_after_two_undeliverable_pieces_a_day_a_member_waits",
        "post_again::test_a_piece_that_is_posted_again_ends_the_wait",
        "post_again::test_what_is_only_being_posted_again_does_not_end_the_wait",
    ),
    (
        "to the day when it is pressed",
        "post_again::test_post_again_costs_what_there_is_also_from_grants_and_after_a_reset",
        "post_again::test_what_was_deleted_or_lost_is_not_posted_again",
    ),
    (
        "so that no admin buys a larger share",
        "money::test_admins_buy_no_share_among_servers_and_subscribers_do",
    ),
    (
        "Who was given no seconds has none there either",
        "money::test_who_was_given_no_seconds_is_given_none_in_the_idle_lane",
        "money::test_the_idle_lane_is_for_who_has_used_up_the_day",
    ),
    ("nor take it away with", "money::test_what_is_sold_cannot_be_taken_away"),
    (
        "has more, what to expect of other cards, and how to measure yours",
        "cuda_benchmark::test_the_page_has_the_table_that_is_computed",
        "cuda_benchmark::test_what_is_done_on_a_gpu_alone_is_right_on_a_pretended_one",
    ),
    # words of the README, file::test, and more of them where one alone does not hold it
    ("the finished WAV is posted in the channel", "bot::test_words_become_a_message_with_music"),
    (
        "Nothing matters only in memory.",
        "crashes::test_no_instant_to_die_at_loses_or_doubles_anything",
    ),
    ("A restart goes on where it was.", "bot::test_a_restart_loses_no_job"),
    (
        "place, expected time, progress",
        "bot::test_the_expected_time_is_shown_once_speeds_are_known",
        "bot::test_progress_is_shown_at_most_every_four_seconds",
    ),
    (
        "a Cancel button that works while the piece is rendering",
        "cancelling::test_a_rendering_job_is_cancelled_and_the_next_one_plays",
        "writing::test_what_is_cancelled_while_it_is_finished_is_not_written",
    ),
    (
        "a reason for every refusal",
        "members::test_a_refusal_for_the_day_says_what_is_left_until_when_and_what_would_do",
    ),
    (
        "Only delivered music is charged.",
        "jobs::TestLife",
        "routes::test_what_every_route_refuses_is_given_back_and_kept",
    ),
    (
        "What fails, is cancelled or cannot be posted is given back.",
        "jobs::TestLife",
        "ledger::TestBooks",
    ),
    ("draws the tokens of all requests together", "side_by_side::test_takes_are_made_side_by_side"),
    ("token for token the same", "decoder::test_tokens_equal_audiocrafts"),
    (
        "torch lives in a child process",
        "architecture::test_a_library_is_imported_only_where_it_belongs",
        "command_line::test_the_bots_process_starts_without_torch_or_audiocraft",
    ),
    (
        "when that dies, it is replaced and the job is tried once more",
        "dispatcher::test_a_job_that_loses_the_engine_once_is_rendered_by_the_next",
    ),
    # Try it
    (
        "runs the real bot in [SimCord]",
        "demo::test_a_person_types_the_command_sees_it_move_and_hears_the_piece",
    ),
    (
        "one request and the files that the channel received",
        "demo::test_headless_writes_what_the_channel_received",
    ),
    ("every piece that it makes says so", "bot::test_the_whole_way_with_the_sketch_engine"),
    # Test it
    (
        "kills the bot, its demo and its engine two hundred times each",
        "kills::test_kills_at_random_lose_nothing",
        "kills::test_the_demo_is_killed_at_random_and_what_it_accepted_is_delivered",
        "kills::test_the_engine_is_killed_at_random_and_each_piece_is_made",
    ),
    ("ten minutes of faults every few seconds", "soak::test_a_storm_breaks_no_promise"),
    # MusicGen
    (
        "the weights of MUSICGEN_MODEL",
        "musicgen::test_a_fetch_downloads_what_is_missing_and_only_that",
    ),
    (
        "what is missing, and how to mend it",
        "command_line::test_doctor_lists_a_mend_for_every_fault",
    ),
    ("may also be a local folder", "config::test_a_model_may_be_a_folder"),
    (
        "plays what the words give, by audiocraft's own loop",
        "musicgen::test_a_melody_model_plays_what_the_words_alone_give",
    ),
    (
        "joins at any step and leaves when it is done",
        "decoder::test_a_take_joins_in_the_middle_and_follows_a_cancelled_tenant",
        "side_by_side::test_a_short_piece_is_not_held_up_by_a_long_one",
    ),
    (
        "In float64 its tokens equal audiocraft's, one for one.",
        "decoder::test_tokens_equal_audiocrafts_in_the_small_models_geometry",
        "kernels::test_the_compiled_kernel_draws_the_tokens_that_torch_draws",
    ),
    ("a score is off by at most 7 %", "decoder::test_each_precision_is_as_faithful_as_it_says"),
    (
        "A take does not depend on who is rendered beside it",
        "decoder::test_a_take_is_the_same_whoever_is_beside_it",
        "side_by_side::test_what_happens_to_one_changes_no_bit_of_the_others",
        "kernels::test_a_product_is_right_and_a_row_of_it_is_the_same_beside_any_others",
        "kernels::test_it_draws_some_token_where_scores_are_not_finite_and_others_as_ever",
    ),
    (
        "int8 gives the same bits",
        "decoder::test_more_rows_change_little_and_nothing_in_int8_and_in_native_kernels",
    ),
    (
        "strays no further from float32 than audiocraft's own autocast",
        "half::test_half_precision_strays_no_further_than_autocast_at_exact_places",
    ),
    (
        "after six seconds it is further off than Fantasia",
        "half::test_after_six_seconds_it_is_nearer_than_autocast_whose_places_are_of_half_precision",
    ),
    (
        "where it does not work, torch's take its place",
        "split::test_where_triton_does_not_work_a_mask_does_and_one_line_says_so",
        "split::test_where_a_kernel_of_a_step_does_not_work_torch_does_and_one_line_says_so",
        "split::test_where_triton_is_missing_a_mask_does",
    ),
    (
        "run Triton's kernels in its interpreter",
        "split::test_in_tritons_interpreter_it_attends_as_torch_does",
        "split::test_it_compiles_for_a_card_that_is_not_there_and_reads_in_large_pieces",
    ),
    ("`auto` is as many as fit in memory", "memory::test_slots_fill_the_memory_that_is_left"),
    (
        "but at least 16",
        "memory::test_a_gpu_with_more_multiprocessors_makes_more_takes_side_by_side",
    ),
    (
        "leave room for one another",
        "memory::test_models_leave_room_for_those_that_can_be_loaded_beside_them",
        "memory::test_models_that_stay_loaded_side_by_side_share_the_slots_of_a_gpu",
    ),
    (
        "with plain pip, hashes and `--no-deps`",
        "command_line::test_the_lock_files_name_no_registry_and_hash_everything",
    ),
    # Run it on Discord
    (
        "one trained on clips of less than 18 s plays in shorter windows",
        "checkpoints::test_a_model_that_was_trained_on_short_clips_plays_in_windows_of_that_length",
    ),
    (
        "are named and refused, by `doctor` too",
        "checkpoints::test_a_file_that_is_no_such_checkpoint_is_named_with_what_to_do",
        "checkpoints::test_a_codec_that_is_none_is_named",
        "checkpoints::test_generate_doctor_and_fetch_say_what_is_wrong_with_a_folder",
    ),
    (
        "put the token after `DISCORD_TOKEN=`",
        "command_line::test_run_without_a_token_says_where_it_goes",
    ),
    (
        "The bot is online and accepts jobs while the model loads.",
        "bot::test_a_loading_engine_is_said_and_jobs_are_accepted",
    ),
    (
        "Commands are registered when their definition has changed",
        "bot::test_commands_are_registered_only_when_they_changed",
    ),
    # Settings
    (
        "All of them stand with a comment in [`.env.example`]",
        "config::test_the_example_names_every_key_and_its_default",
        "config::test_the_example_comments_every_key",
    ),
    ("the environment comes before `.env`", "config::test_the_environment_comes_before_the_file"),
    ("one running bot per folder", "database::test_a_second_process_on_the_same_folder_is_refused"),
    (
        "`run` uses exactly this one",
        "command_line::test_run_with_an_engine_that_cannot_start_stops_with_a_sentence",
    ),
    ("the longest piece anyone may ask for", "members::test_the_operators_limits_come_first"),
    (
        "who has used up their day may go on, for nothing",
        "fairness::test_the_idle_lane_charges_nothing_and_gives_way",
    ),
    (
        "ids of the servers that may use the bot",
        "members::test_a_server_that_is_not_allowed_is_told_once_and_then_nothing",
    ),
    (
        "how long what renders may go on when the bot is asked to end",
        "owner::test_a_signal_drains_and_a_second_one_stops",
    ),
    (
        "how long delivered music is kept, and how much of it",
        "owner::test_delivered_music_is_kept_for_so_many_days_and_what_is_owed_for_ever",
        "owner::test_too_much_music_goes_oldest_first_but_not_what_another_goes_on_from",
    ),
    (
        "one object a line, with job, server, member and seconds",
        "owner::test_each_change_is_one_line_with_whom_it_is_about",
    ),
    (
        "where `/metrics` (Prometheus) and `/healthz` are served",
        "owner::test_metrics_and_health_are_served",
    ),
    (
        "shows the traceback of a failure that a sentence explains",
        "command_line::test_debug_shows_the_traceback",
    ),
    # Commands
    ("completed as you type", "bot::test_a_prompt_is_completed_and_never_held_back"),
    (
        "Cancel (for its owner, or a member with Manage Server)",
        "cancelling::test_only_the_owner_or_a_manager_cancels",
    ),
    (
        "the same with a new seed, or a form with everything filled in",
        "request_form::test_again_is_the_same_with_a_new_seed_on_the_quota_of_who_asks",
        "request_form::test_edit_opens_a_form_with_everything_filled_in",
    ),
    (
        "for everybody, on their own quota",
        "request_form::test_again_is_the_same_with_a_new_seed_on_the_quota_of_who_asks",
    ),
    (
        "a new piece with all of it, which costs what is added",
        "result_buttons::test_a_piece_is_extended_by_what_is_added",
        "pieces::test_what_was_heard_before_stays_as_it_was",
    ),
    (
        "FLAC, MP3 or Ogg, for nothing, for whoever presses",
        "result_buttons::test_music_is_saved_in_other_formats_for_nothing",
    ),
    (
        "messages and files, for whoever asked for it or manages the server",
        "result_buttons::test_what_was_posted_again_of_a_deleted_piece_goes_too",
        "result_buttons::test_a_deleted_piece_is_gone_and_its_seconds_stay_used",
        "result_buttons::test_a_manager_deletes_anyones",
    ),
    (
        "keeps what is done so far and refunds the rest",
        "result_buttons::test_a_long_piece_is_stopped_at_its_preview",
    ),
    (
        "what is playing and what waits in this server",
        "fairness::test_the_queue_shows_what_each_may_see",
        "fairness::test_a_piece_is_cancelled_from_the_queue",
    ),
    ("your tier and where it comes from", "members::test_usage_tells_the_whole_story"),
    (
        "the server's tiers side by side and how to get each",
        "members::test_plans_show_the_way_to_each_tier_and_mark_ones_own",
    ),
    (
        "your pieces, newest first, with links",
        "library::test_ones_pieces_are_listed_newest_first_and_paged",
        "library::test_others_pieces_are_for_managers",
    ),
    ("the command that makes it again", "library::test_a_piece_tells_how_to_make_it_again"),
    (
        "posts a piece of yours again, as WAV (or what fits)",
        "result_buttons::test_a_piece_is_posted_again_in_any_format",
        "attachments::test_what_is_too_large_is_posted_smaller",
    ),
    (
        "erases your prompts, your name, music and codes in all servers",
        "privacy::test_who_is_forgotten_leaves_numbers_alone",
        "erasure::test_neither_name_nor_words_stay_in_any_row",
        "erasure::test_the_bots_own_messages_about_it_are_deleted",
    ),
    ("one screen; version, model, licence, code", "members::test_help_and_about_fit_their_reader"),
    (
        "for members with Manage Server",
        "admins::test_others_are_refused_in_code_as_well",
        "admins::test_admins_commands_are_hidden_from_others_and_in_direct_messages",
    ),
    (
        "the log of every change, page by page",
        "admins::test_long_lists_are_paged_with_buttons_that_survive_a_restart",
    ),
    (
        "tiers, the roles that carry them, members who were given one",
        "admins::test_tiers_are_added_and_removed_with_all_that_leads_to_them",
        "admins::test_a_tier_is_given_for_some_days_and_taken",
    ),
    (
        "with a reason that the member reads",
        "admins::test_a_blocked_member_is_told_until_when_and_why",
    ),
    (
        "a category's and a forum's channels and threads count",
        "admins::test_a_category_allows_all_that_lies_in_it",
        "admins::test_a_thread_of_an_allowed_channel_is_allowed",
    ),
    ("none set means everywhere", "admins::test_music_is_asked_for_in_the_allowed_channels_only"),
    (
        "whole words that prompts may not have",
        "admins::test_refused_words_are_whole_folded_and_not_repeated",
    ),
    (
        "posts a message with one button, which opens a form",
        "result_buttons::test_a_panel_opens_a_form_for_ever",
    ),
    (
        "allow or refuse a server, or give it limits of its own",
        "admins::test_the_owner_lets_servers_in_and_limits_them",
    ),
    (
        "start nothing, also over a restart, and say so",
        "owner::test_a_paused_studio_queues_and_says_so_also_after_a_restart",
    ),
    (
        "let what renders end, post it, and end the program",
        "owner::test_drain_lets_what_renders_end_and_closes",
        "farewell::test_a_stop_leaves_no_card_that_tells_what_is_past",
    ),
    (
        "cancel a piece of any server",
        "owner::test_the_owner_cancels_any_piece_and_sees_how_the_studio_does",
    ),
    (
        "music without Discord",
        "command_line::test_generate_writes_a_wav_and_says_what_played_and_how_to_get_more",
    ),
    (
        "a server's log of changes, also while the bot runs",
        "admins::test_every_change_is_exported_as_csv",
    ),
    (
        "copy the database into a new file, also while the bot runs",
        "backup::test_a_backup_is_taken_while_the_bot_runs_and_put_back",
    ),
    (
        "Refused while a bot runs, and for a damaged or newer FILE",
        "backup::test_a_running_bot_is_not_restored_under_its_feet",
        "backup::test_what_is_no_sound_backup_changes_nothing",
    ),
    (
        "`DATA_DIR/audio` that the database does not name stay too",
        "sweeping::test_what_unfinished_jobs_left_goes_and_all_else_stays",
        "sweeping::test_a_swapped_database_costs_no_music_and_gives_no_number_twice",
    ),
    (
        "which answers 503 for what a restart mends",
        "owner::test_health_is_bad_when_a_task_ended_or_nothing_goes_on",
    ),
    (
        "says which pieces have lost their music since",
        "backup::test_a_restore_says_what_music_it_does_not_find_and_takes_none_away",
        "command_line::test_restore_says_what_music_is_missing",
    ),
    (
        "1 for a failure that one sentence on stderr explains",
        "command_line::test_generate_explains_what_is_wrong",
    ),
    ("2 for wrong usage", "command_line::test_wrong_usage_is_code_two"),
    (
        "Five takes of one request, each with a lane in the picture",
        "pieces::test_five_takes_of_one_request_are_made_end_to_end",
    ),
    (
        "A piece of more than 30 s shows how it begins while the rest is made",
        "result_buttons::test_a_long_piece_shows_how_it_begins_and_then_is_there",
    ),
    # Tiers
    (
        "| Free | free | 8 s | 1 | 8 s | 1 | small | 1 |",
        "bot::test_free_is_one_piece_of_eight_seconds_a_day",
    ),
    (
        "the highest (the most music a day) of the roles that the member has at that moment",
        "members::test_a_role_counts_from_the_next_request_on",
    ),
    (
        "reserved in the transaction that queues the request",
        "jobs::test_two_hundred_concurrent_submits_let_through_what_fits",
        "ledger::test_a_limit_of_two_lets_two_of_two_hundred_through",
    ),
    (
        "posted charges what there is of it",
        "members::test_a_piece_that_could_not_be_posted_is_charged_when_it_is_posted_again",
    ),
    ("The day is the UTC day of the request.", "ledger::TestBooks"),
    (
        "are used after the day's allowance, those that end soonest first",
        "members::test_grants_are_used_after_the_day_soonest_end_first",
    ),
    (
        "returned last drawn first",
        "ledger::test_a_piece_stopped_early_refills_the_grant_that_was_drawn_last",
    ),
    (
        "its allowance counts over all servers",
        "members::test_a_subscription_counts_over_all_servers_and_only_while_it_lives",
    ),
    (
        "what an admin changes holds for the next request; queued pieces keep their terms",
        "admins::test_an_edited_tier_holds_for_the_next_request_only",
    ),
    (
        "Those that fit in memory stay loaded, the least recently used makes room",
        "pieces::test_models_that_fit_stay_loaded",
        "pieces::test_models_make_room_for_each_other",
    ),
    (
        "jobs of a loaded model go before one of another, four at most",
        "dispatcher::test_jobs_are_grouped_by_model_and_none_waits_for_ever",
    ),
    (
        "The operator's limits come first, whatever a server's admins set",
        "members::test_the_operators_limits_come_first",
    ),
    (
        "`/studio server` overrides them for one server",
        "admins::test_the_owner_lets_servers_in_and_limits_them",
    ),
    (
        "A refusal says whether the tier, the server or the operator set the limit",
        "members::test_a_piece_longer_than_the_operator_allows_is_not_the_tiers_fault",
        "members::test_takes_models_and_waiting_jobs_are_refused_by_the_tier",
    ),
    # Who is next
    (
        "for whom the least was started within the last hour",
        "fairness::test_servers_have_equal_shares_however_many_ask",
        "fairness::test_what_was_served_more_than_an_hour_ago_does_not_count",
    ),
    (
        "divided by the weight of their tier (1 to 6)",
        "fairness::test_a_heavier_tier_has_a_larger_share",
    ),
    (
        "waits for no longer than 4 · (*n* + 1) · *R*",
        "fairness::test_nobody_waits_longer_than_the_formula_says",
    ),
    (
        "A request whose engine was lost comes again, alone.",
        "dispatcher::test_two_slots_render_side_by_side_but_a_retried_job_alone",
    ),
    (
        "Places and expected times are those of the queue played forward by these rules",
        "forecast::test_the_queue_is_played_forward_as_it_is_served",
        "fairness::test_over_a_day_expected_times_are_honest",
    ),
    (
        "lets every other request pass, even while it is rendered",
        "fairness::test_the_idle_lane_charges_nothing_and_gives_way",
    ),
    # Selling it
    (
        "which holds from the next request on",
        "members::test_a_role_counts_from_the_next_request_on",
    ),
    (
        "`/plans` then shows Discord's own button",
        "members::test_plans_show_the_way_to_each_tier_and_mark_ones_own",
    ),
    ("`/tier give member tier days`", "admins::test_a_tier_is_given_for_some_days_and_taken"),
    (
        "when paid tiers are mapped and such weights are loaded",
        "licence::test_a_paid_tier_on_metas_weights_is_warned_of",
        "licence::test_doctor_warns_too",
    ),
    ("`/about` shows the licence to members", "members::test_help_and_about_fit_their_reader"),
    # How a result reaches the member
    (
        "a new message in the channel that mentions only who asked",
        "bot::test_a_prompt_pings_nobody_and_is_no_markup",
    ),
    (
        "it comes as an answer to the interaction while that lives",
        "delivery::test_a_lost_permission_is_answered_through_the_interaction",
        "routes::test_after_the_token_has_expired_a_direct_message_brings_it",
    ),
    ("then as a direct message", "delivery::test_a_deleted_channel_sends_the_music_directly"),
    (
        "tries again with growing pauses",
        "start::test_what_waiting_mends_is_waited_out_while_one_engine_loads",
        "start::test_a_network_that_is_away_is_waited_for",
    ),
    (
        "what only you can mend ends it with a sentence",
        "start::test_a_gateway_that_closes_for_good_ends_it_with_a_sentence",
        "start::test_a_server_of_the_operators_that_the_bot_is_not_in_is_named",
    ),
    (
        "`HTTPS_PROXY` and `NO_PROXY` are heeded",
        "start::test_everything_goes_by_the_proxy_that_the_environment_names",
        "delivery::test_an_answer_goes_by_the_proxy_as_all_else_does",
    ),
    (
        "What was refused for its size is remembered for a day",
        "attachments::test_a_refusal_teaches_by_the_largest_file",
        "delivery::test_what_a_server_took_is_remembered_for_a_day",
    ),
    (
        "send as much as Discord takes from the member who asks",
        "attachments::test_an_answer_may_hold_what_its_member_may_send",
        "attachments::test_takes_that_fit_but_not_together_are_posted_again_each_by_itself",
    ),
    (
        "what its edge answers in its stead",
        "outcomes::test_what_is_not_said_of_the_channel_is_waited_out",
    ),
    (
        "fails to read or to make holds up nobody",
        "outcomes::test_a_file_that_cannot_be_read_holds_up_nobody_and_ends_refunded",
        "outcomes::test_a_fault_of_our_own_holds_up_nobody_and_is_told_with_its_number",
    ),
    ("repeated with the same nonce", "routes::test_a_lost_answer_is_repeated_with_the_same_nonce"),
    (
        "it is posted as FLAC, or else as Ogg Vorbis",
        "routes::test_what_is_too_large_is_posted_in_a_smaller_format_that_says_so",
    ),
    (
        "then each take has its own message",
        "delivery::test_five_takes_too_large_together_come_each_by_itself",
    ),
    (
        "comes in four parts",
        "delivery::test_one_take_that_is_too_large_in_every_format_comes_in_parts",
    ),
    (
        "in order within a channel and without holding up others",
        "discord_faults::test_days_of_discords_faults_are_waited_out_in_order_and_alone",
    ),
    (
        "the bot looks for it among its messages since it was asked for",
        "discord_faults::test_what_was_posted_is_found_by_no_clock",
        "discord_faults::test_a_crash_between_posting_and_recording_does_not_post_twice",
    ),
    (
        "What no route takes is charged nothing",
        "routes::test_what_every_route_refuses_is_given_back_and_kept",
    ),
    (
        "Below 200 MB of free disk new requests are refused",
        "bot::test_a_nearly_full_disk_refuses_new_jobs_and_breaks_nothing_else",
    ),
    (
        "exactly as long as asked for",
        "musicgen::test_a_take_is_as_long_as_asked_and_sounds",
        "sketch::test_the_length_is_exact_and_the_samples_are_sound",
    ),
    (
        "says its title (the prompt), model, seed and number in its tags",
        "formats::test_every_format_is_tagged",
    ),
    (
        "height is loudness, colour is brightness",
        "waveform::test_what_is_louder_is_taller",
        "waveform::test_what_is_brighter_has_another_colour",
    ),
    (
        "posts its first half minute as soon as it exists, and the final message replaces that",
        "pieces::test_a_long_piece_shows_its_first_half_minute_before_it_ends",
        "result_buttons::test_a_long_piece_shows_how_it_begins_and_then_is_there",
    ),
    (
        "is forgotten, as by `/forget me`, after 30 days",
        "privacy::test_a_server_without_the_bot_is_forgotten_after_thirty_days",
    ),
    (
        "a loudness of −14 LUFS",
        "mastering::test_every_piece_has_one_loudness_and_no_peak_above_the_ceiling",
    ),
    ("silence stays silent", "mastering::test_silence_stays_silent"),
    (
        "`FINISH=off` keeps the model's samples",
        "mastering::test_an_engine_finishes_unless_it_is_told_not_to",
    ),
    # Operating
    (
        "this goes to `/etc/systemd/system/fantasia.service`",
        "owner::test_the_service_file_of_the_readme_is_sound",
    ),
    ("A second signal ends it at once.", "owner::test_a_signal_drains_and_a_second_one_stops"),
    (
        "What waits, and what was cut off, is rendered after the next start.",
        "dispatcher::test_an_interrupted_job_starts_again_after_a_restart",
    ),
    (
        "what a waiting piece goes on from, stays",
        "owner::test_too_much_music_goes_oldest_first_but_not_what_another_goes_on_from",
    ),
    (
        "nothing that a member wrote can break a line",
        "owner::test_nothing_that_is_quoted_breaks_a_line_of_the_log",
    ),
    (
        "a piece that the memory is too small for is tried alone, then one take at a time",
        "faults::test_out_of_memory_is_tried_again_alone",
        "faults::test_out_of_memory_is_tried_again_take_by_take",
        "faults::test_out_of_memory_at_last_says_what_fits_and_is_refused_at_the_door",
    ),
    (
        "is cancelled, tried once more, and failed",
        "faults::test_a_job_over_its_deadline_is_tried_once_more_and_then_failed",
    ),
    (
        "waiting for slots or for a model does not count",
        "deadlines::test_who_waits_for_slots_has_the_time_of_those_who_hold_them",
        "faults::test_loading_a_model_does_not_count_for_the_deadline",
    ),
    (
        "An engine that dies or says nothing for two minutes is replaced",
        "dispatcher::test_a_job_that_loses_the_engine_twice_fails_and_the_next_goes_on",
    ),
    (
        "A piece whose numbers are not finite (NaN, infinity) fails, refunded, and is never posted",
        "numbers::test_a_take_of_no_numbers_fails_alone_and_those_beside_and_after_it_are_unchanged",
        "numbers::test_no_preview_is_written_of_what_is_no_music",
        "faults::test_numbers_that_are_not_finite_are_told_and_refunded_and_no_full_disk",
    ),
    (
        "a model of such numbers is refused when it loads",
        "numbers::test_a_model_of_no_numbers_is_refused_when_it_loads",
    ),
    (
        "what runs as the same user as the bot, in memory and in the environment",
        "guard::test_the_engine_finds_the_token_neither_in_the_bots_process_nor_in_its_own",
    ),
    (
        "gets of the environment only what Python, torch and CUDA heed",
        "guard::test_the_engine_gets_of_the_environment_what_it_needs_and_nothing_else",
    ),
    (
        "systemd can hand the token over without a `.env`",
        "guard::test_the_token_may_come_from_a_file",
    ),
    (
        "So is one that says, or leaves in a file, what cannot be true",
        "hostile_child::test_a_lie_costs_the_engine_its_place_and_nothing_else",
    ),
    (
        "work, deadlines and pauses within a run do not go by it",
        "time::test_a_clock_that_is_set_while_a_piece_renders_harms_no_piece",
    ),
    (
        "no stored pause is longer than an hour",
        "time::test_what_a_clock_that_was_ahead_postponed_is_not_waited_for",
    ),
    (
        "until the bot has run for a day with it",
        "time::test_a_calendar_believes_a_jump_once_the_bot_ran_for_a_day",
        "time::test_a_clock_that_is_ahead_for_one_start_removes_nothing",
    ),
    (
        "dated before 2026 is kept from then on",
        "time::test_what_was_made_by_a_clock_that_stood_at_1970_is_kept_as_long_as_any",
    ),
    (
        "tries anew",
        "outcomes::test_what_fails_once_more_after_post_again_is_told_once_more",
    ),
    (
        "A database that another program holds is waited for",
        "faults::test_a_database_that_somebody_holds_is_waited_for_with_the_engine_alive",
    ),
    (
        "what cannot be saved fails, given back, and the log says where",
        "faults::test_a_disk_that_the_engine_cannot_write_is_told_and_logged",
    ),
    (
        "a command that the database cannot write is answered so",
        "faults::test_a_full_database_refuses_and_goes_on_once_there_is_room",
    ),
    (
        "What writes other formats gives way",
        "encoder::test_one_process_makes_all_at_the_lowest_priority_with_bounded_memory",
        "encoder::test_a_member_saves_one_at_a_time_and_a_studio_a_few",
    ),
    (
        "also in the log of changes and in the reasons that admins gave",
        "erasure::test_neither_name_nor_words_stay_in_any_row",
    ),
    (
        "and deletes the bot's messages about your pieces",
        "erasure::test_the_bots_own_messages_about_it_are_deleted",
        "erasure::test_direct_messages_go_too",
    ),
    (
        "These two and `/forget me` also work in the bot's direct messages",
        "places::test_in_direct_messages_one_may_be_forgotten_and_ask_for_help",
    ),
    (
        "in whatever capitals, styles or look-alike letters of other scripts",
        "wordfilter::test_a_word_is_seen",
        "wordfilter::test_another_word_passes",
    ),
    (
        "What was asked for in a channel stays in it",
        "visibility::test_the_piece_of_a_channel_out_of_sight_is_not_there",
        "visibility::test_no_button_opens_a_channel_out_of_sight",
        "visibility::test_it_is_there_for_its_owner_for_managers_and_for_who_has_the_role",
    ),
    (
        "(and join it, if it is a voice channel)",
        "visibility::test_what_is_written_in_a_voice_channel_is_for_who_may_join_it",
    ),
    (
        "A private thread is open from within it and to those who manage threads",
        "visibility::test_a_private_thread_is_open_from_within",
        "visibility::test_a_private_thread_is_for_its_owner_and_for_who_manages_threads",
    ),
    (
        "who has used up their seconds of the day, to the last one",
        "money::test_the_idle_lane_is_for_who_has_used_up_the_day",
    ),
    (
        "it makes itself undumpable",
        "guard::test_the_engine_finds_the_token_neither_in_the_bots_process_nor_in_its_own",
    ),
    (
        "not work unless `DEBUGGABLE=on`",
        "guard::test_a_debugger_may_look_where_the_operator_lets_it",
    ),
    (
        "takes the bot's messages down as fast as Discord lets it, also over a restart",
        "erasure::test_messages_are_deleted_after_a_restart_too",
        "erasure::test_what_is_unwell_is_tried_again_after_growing_pauses",
    ),
    (
        "stays, is logged, and is told to the member",
        "erasure::test_what_cannot_be_deleted_is_told_and_logged",
    ),
    (
        "With `KEEP_WORDS_DAYS` words and names of ended pieces are erased",
        "ageing::test_words_go_after_the_days_that_the_operator_keeps_them",
    ),
    (
        "Interactions' tokens are erased once they are dead",
        "ageing::test_dead_tokens_are_erased_and_living_ones_stay",
    ),
    (
        "once the beginning of a long piece is posted",
        "money::test_to_cancel_what_was_heard_is_to_stop_it",
    ),
]


@cache
def readme() -> str:
    return _in_a_line((ROOT / "README.md").read_text(encoding="utf-8"))


def _in_a_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@cache
def names_in(file: str) -> set[str]:
    """The tests of a file, those that are made of a class of Hypothesis' among them."""
    tree = ast.parse((ROOT / place_of(file)).read_text(encoding="utf-8"))
    named = {getattr(node, "name", "") for node in tree.body}
    assigned = (
        target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets
    )
    return named | {target.id for target in assigned if isinstance(target, ast.Name)}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise[0])
def test_each_promise_is_the_readmes_and_has_its_test(promise: tuple[str, ...]) -> None:
    words, *held_by = promise
    assert words in readme()
    assert [words for words, *_ in PROMISES].count(words) == 1, "it stands here twice"
    assert held_by
    for test in held_by:
        file, name = test.split("::")
        assert name in names_in(file)
        assert name.lower().startswith("test")
