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
        "code in a repository is neither fetched nor run",
        "checkpoint::test_code_beside_the_tokenizer_is_not_run",
        "checkpoint::test_what_is_wrong_is_said_in_a_sentence",
        "fetching::test_the_2b_model_is_converted_and_plays",
    ),
    (
        "with the codec in float32",
        "ace_model::test_half_precision_is_near_enough",
    ),
    (
        "takes side by side took",
        "ace_capacity::test_as_many_takes_as_a_gpu_has_room_for_are_denoised_side_by_side",
        "ace_capacity::test_a_step_is_estimated_as_a_gpu_measured_it",
    ),
    (
        "`PRECISION=auto` is bfloat16 on a GPU that has it",
        "ace_capacity::test_a_gpu_computes_in_bfloat16_where_it_has_it",
    ),
    (
        "those that diffusers' pipeline makes of a single request with the take's seed",
        "denoising::test_latents_are_the_pipelines_own_bit_for_bit",
        "denoising::test_a_take_in_a_batch_is_the_same_as_alone",
        "ace_model::test_a_piece_is_the_pipelines_own_cut_to_the_sample",
        "ace_model::test_each_of_five_takes_is_the_single_request_with_its_seed",
    ),
    (
        "What is rendered beside it, of either family, changes nothing of it",
        "ace_songs::test_a_song_beside_another_family_changes_neither",
        "ace_model::test_orders_that_take_turns_are_as_alone",
    ),
    (
        "decoded five seconds at a time, equal to the codec's own to rounding",
        "tiles::test_tiles_sound_as_the_whole",
        "tiles::test_two_minutes_need_no_more_memory_than_forty_seconds",
    ),
    (
        "It has exactly the length that was asked for",
        "ace_model::test_the_length_is_exact_and_the_shortest_that_the_model_plays_is_cut",
    ),
    (
        "Extend puts every kept frame back at each step",
        "denoising::test_what_is_gone_on_from_stays_as_it_is",
        "ace_model::test_an_extension_keeps_what_it_goes_on_from",
        "ace_model::test_an_extension_sounds_as_the_piece_did_up_to_the_seam",
    ),
    (
        "are refused with the number, never cut",
        "conditions::test_what_is_too_long_is_refused_with_the_numbers_and_one_less_is_not",
        "ace_songs::test_more_words_than_the_model_reads_are_refused_with_the_number",
    ),
    (
        "Weights that are cut short, pickled, of another model or lacking are refused",
        "checkpoint::test_what_is_wrong_is_said_in_a_sentence",
        "checkpoint::test_a_part_that_lacks_a_weight_is_refused_with_its_name",
        "ace_songs::test_an_engine_does_not_start_with_a_model_that_cannot_sing",
        "ace_model::test_a_model_that_computes_no_numbers_is_refused_as_it_is_loaded",
    ),
    (
        "Too little memory in a step costs that piece alone",
        "ace_model::test_too_little_memory_in_a_step_costs_that_order_alone",
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
