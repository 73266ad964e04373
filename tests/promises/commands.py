"""What docs/commands.md promises."""

PROMISES: tuple[tuple[str, ...], ...] = (
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
        "it goes once the music stands in the channel",
        "questions::test_a_status_message_is_deleted_after_a_restart_too",
        "questions::test_a_status_message_that_cannot_be_deleted_shrinks_to_a_line",
    ),
    (
        "or for all that the tier still allows",
        "questions::test_what_still_fits_is_offered",
    ),
    (
        "with the same words or others",
        "questions::test_a_piece_goes_on_with_other_words",
    ),
    (
        "A question queues and charges once",
        "questions::test_a_question_queues_and_charges_once",
    ),
    (
        "removes the other takes from the messages and from the disk and refunds nothing",
        "takes::test_keeping_one_take_removes_the_others_everywhere_and_refunds_nothing",
        "takes::test_takes_in_messages_of_their_own_are_removed_with_these",
    ),
    (
        "of the piece that the message is about",
        "takes::test_a_context_menu_tells_which_piece_a_message_is_about",
    ),
    (
        "asks first; then takes away its messages",
        "result_buttons::test_a_deleted_piece_is_gone_and_its_seconds_stay_used",
        "questions::test_the_status_message_of_a_deleted_piece_goes_too",
        "questions::test_of_a_deleted_piece_nothing_offers_what_is_gone",
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
    (
        "one message of selects and buttons",
        "first_minute::test_a_fresh_server_is_set_up_by_its_welcome_and_a_member_makes_a_piece",
        "first_minute::test_each_step_can_be_undone",
    ),
    (
        "everything that is set, with the command that changes it",
        "first_minute::test_all_that_is_set_stands_on_one_page_with_its_command",
    ),
    (
        "a member's seconds, and what was changed of them",
        "undoing::test_a_grant_is_taken_back_but_not_what_was_used_of_it",
    ),
    (
        "removing and resetting ask first",
        "undoing::test_the_default_tiers_come_back_and_keep_their_roles",
        "admins::test_tiers_are_added_and_removed_with_all_that_leads_to_them",
    ),
    (
        "for whom something is set",
        "undoing::test_members_with_something_set_are_listed_while_it_holds",
    ),
    ("your tier and where it comes from", "members::test_usage_tells_the_whole_story"),
    (
        "the server's tiers side by side and how to get each",
        "members::test_plans_show_the_way_to_each_tier_and_mark_ones_own",
    ),
    (
        "those that you starred above them",
        "shelf::test_starred_pieces_come_first_and_no_more_than_the_tier_has",
        "shelf::test_only_its_member_stars_and_names_a_piece",
    ),
    (
        "only what has all of them in its prompt, lyrics, title or number",
        "shelf::test_a_piece_is_found_by_its_title_its_words_and_its_number",
        "shelf::test_a_search_goes_on_over_pages_and_a_restart",
    ),
    (
        "their music outlives `KEEP_DAYS`",
        "shelf::test_starred_music_outlives_the_days_and_goes_last",
        "shelf::test_a_piece_that_is_starred_while_old_music_is_looked_through_is_kept",
    ),
    (
        "titles that you give your pieces, and which you starred",
        "shelf::test_titles_and_stars_are_forgotten_with_their_member_and_their_server",
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
        "A refused form opens again with what was typed, for 15 minutes",
        "request_form::test_a_refused_form_comes_back_with_what_was_typed",
        "request_form::test_the_newest_of_each_members_refused_forms_comes_back",
        "request_form::test_every_form_comes_back",
        "request_form::test_what_is_queued_and_cannot_be_shown_is_not_filled_in_again",
        "erasure::test_what_was_typed_into_a_refused_form_is_erased",
    ),
    (
        "erases your prompts, your lyrics, your name, music and codes in all servers",
        "songs::test_lyrics_are_found_in_the_history_and_erased_with_all_else",
        "words::test_every_column_with_words_is_erased",
        "privacy::test_who_is_forgotten_leaves_numbers_alone",
        "erasure::test_neither_name_nor_words_stay_in_any_row",
        "erasure::test_the_bots_own_messages_about_it_are_deleted",
    ),
    (
        "what a model has not is refused with what it has",
        "models::test_a_model_is_asked_for_its_own_options_and_no_others",
        "models::test_every_option_is_held_to_the_bounds_of_its_model",
        "models::test_generate_takes_what_some_model_here_takes",
    ),
    (
        "one screen; version, models with their licences, code",
        "members::test_help_and_about_fit_their_reader",
    ),
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
        "whole words that prompts and lyrics may not have",
        "songs::test_a_refused_song_comes_back_with_its_lyrics",
        "admins::test_refused_words_are_whole_folded_and_not_repeated",
    ),
    (
        "a song, by a model that sings",
        "sung::test_lyrics_are_sung_and_go_on_and_too_many_of_them_cost_nothing",
        "songs::test_a_model_that_sings_no_words_names_one_that_does",
        "songs::test_where_no_model_sings_nobody_writes_lyrics_in_vain",
        "songs::test_nobody_writes_lyrics_for_a_model_that_their_tier_does_not_include",
    ),
    (
        "with ` / ` between lines, or in the form that opens where they are left out",
        "songs::test_a_song_is_asked_for_in_one_line_or_by_a_form",
        "songs::test_a_refused_song_comes_back_with_its_lyrics",
    ),
    (
        "What is more than the model reads is refused with the number, and refunded",
        "sung::test_lyrics_are_sung_and_go_on_and_too_many_of_them_cost_nothing",
    ),
    (
        "The lyrics of a song are for who wrote them and for managers of the server",
        "songs::test_the_lyrics_are_their_members_and_the_managers_alone",
        "songs::test_again_edit_and_extend_keep_the_lyrics_of_their_member",
    ),
    (
        "Of a song its lyrics as text, for who wrote them",
        "songs::test_lyrics_are_saved_as_text_and_stand_in_the_tags",
    ),
    (
        "posts a message with one button, which opens a form",
        "result_buttons::test_a_panel_opens_a_form_for_ever",
    ),
    (
        "it stays near the end of its channel, one a channel",
        "panel::test_a_panel_that_has_scrolled_away_is_posted_anew_at_the_end",
        "panel::test_a_channel_has_one_panel_however_often_it_is_asked_for",
        "panel::test_a_panel_that_was_posted_before_a_crash_is_found_again",
        "panel::test_a_panel_that_somebody_deleted_does_not_come_back",
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
        "It says which pieces have lost their music",
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
)
