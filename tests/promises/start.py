"""What the README promises before its commands, and docs/musicgen.md and docs/settings.md."""

PROMISES: tuple[tuple[str, ...], ...] = (
    ("the finished WAV is posted in the channel", "bot::test_words_become_a_message_with_music"),
    (
        "Nothing matters only in memory.",
        "crashes::test_no_instant_to_die_at_loses_or_doubles_anything",
    ),
    ("A restart goes on where it was.", "bot::test_a_restart_loses_no_job"),
    (
        "place, expected time, progress",
        "bot::test_the_expected_time_is_shown_once_speeds_are_known",
        "bot::test_progress_is_shown_every_two_seconds_at_first_and_every_four_later",
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
        "It prints an address for each channel",
        "demo::test_it_tells_its_pages_serves_metrics_and_ends_with_a_word",
    ),
    (
        "where nothing is set and the owner has `/studio`",
        "demo::test_a_refusal_is_no_error_of_the_bots_but_a_fault_is",
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
        "checkpoints::test_a_fetch_downloads_what_is_missing_and_only_that",
    ),
    (
        "what is missing, and how to mend it",
        "command_line::test_doctor_lists_a_mend_for_every_fault",
    ),
    ("may also be a local folder", "config::test_a_model_may_be_a_folder"),
    (
        "plays what the words give, by audiocraft's own loop",
        "model::test_a_melody_model_plays_what_the_words_alone_give",
    ),
    (
        "turns out to have another sample rate, other channels or other options",
        "hostile_child::test_an_engine_whose_model_is_not_as_its_card_says_does_not_start",
        "hostile_child::test_a_model_that_turns_out_to_be_another_when_it_is_loaded_costs_only_its_piece",
    ),
    (
        "joins at any step and leaves when it is done",
        "decoder::test_a_take_joins_in_the_middle_and_follows_a_cancelled_tenant",
        "side_by_side::test_a_short_piece_is_not_held_up_by_a_long_one",
    ),
    (
        "In float64 its tokens equal audiocraft's, one for one.",
        "decoder::test_tokens_equal_audiocrafts_in_the_small_models_geometry",
        "cpu_kernels::test_the_compiled_kernel_draws_the_tokens_that_torch_draws",
    ),
    ("a score is off by at most 7 %", "precisions::test_each_precision_is_as_faithful_as_it_says"),
    (
        "a seed's music is the same at the first start and at later ones",
        "compiling::test_a_first_start_computes_to_the_last_bit_what_all_that_follow_do",
    ),
    (
        "A take does not depend on who is rendered beside it",
        "decoder::test_a_take_is_the_same_whoever_is_beside_it",
        "side_by_side::test_what_happens_to_one_changes_no_bit_of_the_others",
        "cpu_kernels::test_a_product_is_right_and_a_row_of_it_is_the_same_beside_any_others",
        "cpu_kernels::test_it_draws_some_token_where_scores_are_not_finite_and_others_as_ever",
    ),
    (
        "int8 gives the same bits",
        "precisions::test_more_rows_change_little_and_nothing_in_int8_and_in_native_kernels",
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
        "gpu_kernels::test_where_triton_does_not_work_a_mask_does_and_one_line_says_so",
        "gpu_kernels::test_where_a_kernel_of_a_step_does_not_work_torch_does_and_one_line_says_so",
        "gpu_kernels::test_where_triton_is_missing_a_mask_does",
    ),
    (
        "run Triton's kernels in its interpreter",
        "gpu_kernels::test_in_tritons_interpreter_it_attends_as_torch_does",
        "gpu_kernels::test_it_compiles_for_a_card_that_is_not_there_and_reads_in_large_pieces",
    ),
    ("`auto` is as many as fit in memory", "capacity::test_slots_fill_the_memory_that_is_left"),
    (
        "but at least 16",
        "capacity::test_a_gpu_with_more_multiprocessors_makes_more_takes_side_by_side",
    ),
    (
        "leave room for one another",
        "capacity::test_models_leave_room_for_those_that_can_be_loaded_beside_them",
        "capacity::test_models_that_stay_loaded_side_by_side_share_the_slots_of_a_gpu",
    ),
    (
        "with plain pip, hashes and `--no-deps`",
        "command_line::test_the_lock_files_name_no_registry_and_hash_everything",
    ),
    # Run it on Discord
    (
        "one trained on clips of less than 18 s plays in shorter windows",
        "checkpoint_file::test_a_model_that_was_trained_on_short_clips_plays_in_windows_of_that_length",
    ),
    (
        "are named and refused, by `doctor` too",
        "checkpoint_file::test_a_file_that_is_no_such_checkpoint_is_named_with_what_to_do",
        "checkpoint_file::test_a_codec_that_is_none_is_named",
        "checkpoint_file::test_generate_doctor_and_fetch_say_what_is_wrong_with_a_folder",
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
        "one object a line, with job, server, member, engine and seconds",
        "owner::test_each_change_is_one_line_with_whom_it_is_about",
    ),
    (
        "where `/metrics` (Prometheus) and `/healthz` are served",
        "owner::test_metrics_and_health_are_served",
    ),
    (
        "names each server that gives the bot less",
        "invitation::test_a_server_that_gives_too_little_is_logged_once",
        "invitation::test_the_invite_link_asks_for_what_the_readme_lists",
        "invitation::test_what_the_invite_link_asks_for_is_enough_for_a_piece",
    ),
    (
        "write `.env`, asking for the token and the engine",
        "init::test_init_asks_by_the_examples_words_and_writes_a_file_that_only_its_owner_reads",
        "init::test_init_replaces_no_file_unasked",
    ),
    (
        "with `--online` Discord is asked, too",
        "online::test_all_is_well",
        "online::test_what_is_wrong_names_who_can_fix_it",
    ),
    (
        "says what each metric means",
        "metrics::test_every_metric_is_documented_and_drawn_and_no_other_is_named",
        "metrics::test_waits_renders_deliveries_refusals_and_lost_engines_are_counted",
    ),
    (
        "shows the traceback of a failure that a sentence explains",
        "command_line::test_debug_shows_the_traceback",
    ),
)
