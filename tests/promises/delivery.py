"""What docs/delivery.md promises."""

PROMISES: tuple[tuple[str, ...], ...] = (
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
        "delivery::test_what_is_refused_of_one_take_is_known_of_the_next",
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
        "delivery::test_what_was_refused_for_its_size_is_no_doubt_about_the_smaller_one",
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
        "model::test_a_take_is_as_long_as_asked_and_sounds",
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
)
