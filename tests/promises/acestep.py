"""What docs/acestep.md promises."""

PROMISES: tuple[tuple[str, ...], ...] = (
    ("`fetch` converts it here", "fetching::test_the_2b_model_is_converted_and_plays"),
    (
        "Every tensor that it lacks, or that is not known, is named",
        "fetching::test_what_is_no_such_repository_is_named_and_nothing_of_it_stays",
    ),
    (
        "are fetched as they are",
        "fetching::test_a_repository_in_diffusers_layout_is_fetched_as_it_is",
        "fetching::test_a_repository_of_something_else_is_refused_before_its_weights_come",
    ),
    (
        "Those that fit stay loaded, others are swapped",
        "families::test_families_make_room_for_each_other_and_sound_as_before",
        "pieces::test_models_that_fit_stay_loaded",
    ),
    (
        "Each has slots of its own",
        "deadlines::test_the_slots_of_a_model_are_its_own",
        "forecast::test_the_queue_is_played_forward_as_it_is_served",
    ),
    (
        "keeps nobody waiting who asks for another",
        "dispatcher::test_a_model_without_a_free_slot_keeps_nobody_waiting_who_asks_for_another",
        "dispatcher::test_the_idle_lane_waits_for_who_pays_and_needs_a_slot",
    ),
    (
        "Two that are used at once share the device's time equally",
        "repertoire::test_models_share_the_time_of_the_device_however_long_their_steps_are",
    ),
    (
        "shows signs of life for as long as it should last",
        "pulse::test_a_long_step_shows_signs_of_life_for_as_long_as_it_should_last",
    ),
    (
        "one that hangs is noticed after that",
        "process::test_a_child_that_shows_signs_of_life_is_lost_only_once_they_end",
    ),
    (
        "What a piece should take is known by its steps, its length with what it extends",
        "deadlines::test_what_denoises_has_time_for_its_steps_over_all_of_a_piece",
    ),
)
