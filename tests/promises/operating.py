"""What docs/operating.md promises."""

PROMISES: tuple[tuple[str, ...], ...] = (
    # Operating
    (
        "this goes to `/etc/systemd/system/fantasia.service`",
        "deploy::test_systemd_finds_the_unit_sound",
    ),
    (
        "what was ended by `/studio drain` or `systemctl stop` stays ended",
        "deploy::test_the_unit_leaves_ended_what_was_drained_and_hands_over_the_token",
    ),
    (
        "The bot runs as the user 10001",
        "deploy::test_an_image_runs_the_bot_as_nobody_else_and_writes_to_its_volume_alone",
    ),
    (
        "The health check asks `/healthz`.",
        "deploy::test_the_health_check_fails_where_the_bot_is_not_well",
    ),
    (
        "With `--music` the folder holds the database and every file that it names.",
        "backup::test_a_backup_with_the_music_moves_a_bot_to_another_house",
    ),
    (
        "another file of the same name goes to `DATA_DIR/orphans`",
        "backup::test_what_else_has_the_name_of_a_piece_is_set_aside_when_music_returns",
    ),
    (
        "It is one moment of the database, and stands whole or not at all",
        "backup::test_a_backup_takes_no_link_for_music_and_leaves_nothing_half_done",
    ),
    (
        "an older release refuses a newer database with a sentence",
        "backup::test_what_is_no_sound_backup_changes_nothing",
    ),
    (
        "With `ENGINE=sketch` no MusicGen is installed.",
        "setup::test_setup_and_run_install_what_the_engine_needs",
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
        "each GPU that the bot sees renders with an engine of its own",
        "placement::test_each_gpu_has_an_engine_that_sees_it_alone",
        "placement::test_of_a_divided_gpu_each_part_has_one",
        "placement::test_the_child_has_it_in_its_environment",
    ),
    (
        "says which GPUs, or parts of one (MIG), those are",
        "placement::test_what_the_bot_itself_may_see_is_kept_entry_by_entry",
        "placement::test_more_engines_than_gpus_are_refused_with_both_numbers",
    ),
    (
        "one that torch has no code for gets none",
        "placement::test_a_gpu_that_torch_has_no_code_for_gets_no_engine",
    ),
    (
        "They load one after the other, or beside one that takes ten minutes",
        "gone_engines::test_engines_of_one_computer_load_one_after_the_other",
        "gone_engines::test_one_that_never_answers_as_it_loads_keeps_no_other_from_work",
    ),
    (
        "that is lost or cannot start leaves the others at work, and its pieces are tried once",
        "fleet::test_the_death_of_one_hands_back_its_own_piece_and_no_other",
        "fleet::test_one_that_hangs_lies_or_dies_costs_the_others_nothing",
        "fleet::test_an_engine_that_cannot_start_leaves_the_other_at_work_and_says_so_once",
        "waiting_again::test_what_ran_out_of_memory_waits_until_its_files_are_gone",
        "waiting_again::test_what_gave_way_waits_until_its_engine_has_dropped_it",
    ),
    (
        "has its model loaded and a slot free, of several to the one with less to do",
        "openings::test_a_job_is_left_to_the_engine_that_has_its_model_loaded",
        "openings::test_of_two_that_have_a_model_the_one_with_less_to_do_begins_then_the_faster",
        "fleet::test_a_piece_goes_where_its_model_can_be",
    ),
    (
        "has too little memory for, to another",
        "fleet::test_what_is_too_long_for_one_engine_goes_to_a_larger_one",
    ),
    (
        "`/studio stats`, the metrics and the log name them",
        "several_engines::test_the_owner_sees_each_engine_and_reads_why_one_cannot_be_paused",
        "metrics::test_each_engine_is_measured_by_its_name",
    ),
    (
        "it ends what it renders, and the others go on",
        "several_engines::test_an_engine_that_is_paused_ends_what_it_renders_and_starts_nothing_else",
        "several_engines::test_members_read_that_the_studio_is_paused_once_every_engine_is",
    ),
    (
        "On a CPU several share its cores, and `doctor` says where one would do better",
        "placement::test_engines_of_one_machine_divide_its_cores",
        "engines::test_doctor_notes_more_engines_than_a_cpu_has_cores_for",
        "engines::test_doctor_notes_more_weights_than_the_memory_holds",
    ),
    (
        "nothing that a member wrote can break a line",
        "owner::test_nothing_that_is_quoted_breaks_a_line_of_the_log",
    ),
    (
        "a piece that the memory is too small for is tried alone, then one take at a time",
        "faults::test_out_of_memory_is_tried_again_alone",
        "faults::test_out_of_memory_is_tried_again_take_by_take",
        "faults::test_nothing_begins_before_the_files_of_what_waits_again_are_gone",
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
        "An engine that dies or says nothing for two minutes is replaced (in a step that should "
        "last longer, for twice as long as that)",
        "dispatcher::test_a_job_that_loses_the_engine_twice_fails_and_the_next_goes_on",
        "pulse::test_a_long_step_shows_signs_of_life_for_as_long_as_it_should_last",
        "process::test_a_child_that_shows_signs_of_life_is_lost_only_once_they_end",
    ),
    (
        "So is one that goes on for as long with a piece that was cancelled",
        "deafness::test_an_engine_that_goes_on_with_what_was_cancelled_is_lost",
        "deafness::test_an_engine_ends_its_step_or_loads_its_model_before_it_heeds_a_cancel",
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
        "and one that says, or leaves in a file, what cannot be true",
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
        "is waited for, and called busy",
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
    (
        "start brings the database to the new release's schema, a step a transaction",
        "database::test_a_database_of_the_first_release_keeps_all_it_holds",
        "database::test_a_migration_that_fails_leaves_nothing_behind",
        "options::test_jobs_of_the_schema_before_keep_the_options_that_they_were_asked_with",
    ),
)
