"""What docs/tiers.md promises of tiers, who is next, what is paid and what is sold."""

PROMISES: tuple[tuple[str, ...], ...] = (
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
    # Tiers
    (
        "| Free | free | 8 s | 1 | 8 s | 1 | 3 | small | 1 |",
        "bot::test_free_is_one_piece_of_eight_seconds_a_day",
    ),
    (
        "the highest (the most music a day) of the roles that the member has at that moment",
        "members::test_a_role_counts_from_the_next_request_on",
    ),
    (
        "**What it costs**",
        "money::test_the_price_is_reckoned_once_and_every_sum_is_over_what_the_rows_say",
        "kept_database::test_what_a_job_makes_and_costs_is_summed_as_it_was_before_its_row_said_so",
        "statements::test_what_a_job_makes_is_reckoned_in_one_place",
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
        "fairness_of_engines::test_no_engine_lets_anybody_wait_longer_than_the_formula_says",
    ),
    (
        "A request whose engine was lost comes again, alone.",
        "dispatcher::test_two_slots_render_side_by_side_but_a_retried_job_alone",
    ),
    (
        "Places and expected times are those of the queue played forward by these rules",
        "forecast::test_the_queue_is_played_forward_as_it_is_served",
        "forecast::test_each_job_goes_to_the_engine_that_can_begin_it_first",
        "simulated_day::test_over_a_day_expected_times_are_honest",
    ),
    (
        "lets every other request pass, even while it is rendered",
        "fairness::test_the_idle_lane_charges_nothing_and_gives_way",
    ),
    (
        "`/tier reset` goes back to them",
        "undoing::test_the_default_tiers_come_back_and_keep_their_roles",
    ),
    # Selling it
    (
        "price only where a role, a link or a subscription leads to the tier",
        "first_minute::test_a_price_is_shown_where_something_leads_to_the_tier",
    ),
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
        "a tier that is sold includes a model that may not be, or one whose licence it does not",
        "licence::test_a_paid_tier_with_weights_that_may_not_be_sold_is_warned_of",
        "licence::test_what_may_be_sold_is_sold_without_a_word",
        "licence::test_doctor_warns_too",
    ),
    (
        "`/plans` marks with † what is for personal use only",
        "models::test_plans_mark_what_is_for_personal_use_only",
    ),
    (
        "`/about` names each model with its licence",
        "members::test_help_and_about_fit_their_reader",
    ),
    (
        "the first is in every default tier",
        "licence::test_free_includes_what_there_is",
        "models::test_a_studio_with_ace_step_alone_serves_everybody_and_charges_what_was_asked_for",
    ),
)
