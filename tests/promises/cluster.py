"""What docs/cluster.md promises."""

PROMISES: tuple[tuple[str, ...], ...] = (
    (
        "A machine need not have all of `MODELS`: a piece goes only where its model is.",
        "repertoire::test_some_of_the_models_will_do_where_not_all_are_there",
        "contract::test_musicgen_sounds_over_ray_as_it_does_here",
    ),
    (
        "a machine keeps of a piece only what it needs while it renders",
        "contract::test_nothing_is_left_of_one",
    ),
    (
        "On a machine without a GPU there is one for each unit of the resource `fantasia`",
        "cluster_nodes::test_each_gpu_has_an_engine_and_a_node_without_one_as_many_as_it_says",
        "contract::test_each_gpu_of_a_node_has_an_engine_that_sees_it_alone_and_keeps_its_threads",
    ),
    (
        "the bot refuses to start without one, unless all is on loopback addresses",
        "cluster_nodes::test_without_a_token_a_cluster_must_be_on_loopback",
        "cluster_nodes::test_without_a_token_a_node_that_others_reach_is_left_out_in_words",
    ),
    (
        "Nothing of Discord's token reaches another machine.",
        "contract::test_a_node_knows_no_secret_of_discords",
    ),
    (
        "an engine of another one is left out, and the log says what it has and what the bot has",
        "contract::test_a_node_of_another_fantasia_is_left_out_in_words",
        "cluster_nodes::test_any_version_that_differs_is_named_with_the_bots",
    ),
    (
        "its pieces are tried once more, alone; Ray starts the actor again on its machine",
        "losses::test_each_piece_is_made_once_while_actors_and_nodes_are_lost_and_join",
        "contract::test_an_engine_that_is_lost_says_why_and_another_starts",
    ),
    (
        "after a minute and a half of silence it counts as lost",
        "contract::test_whoever_falls_silent_on_the_way_to_an_engine_is_replaced",
        "cluster_nodes::test_a_cluster_that_never_answers_is_given_up_in_words",
    ),
    (
        "The bot goes on, takes requests, and says so in the log",
        "losses::test_a_bot_outlives_its_clusters_head_and_waits_for_the_next",
    ),
    (
        "the link tries again with growing pauses, of a minute at most",
        "cluster_nodes::"
        "test_a_cluster_that_is_away_is_tried_again_with_growing_pauses_and_told_of_once",
    ),
    (
        "Nothing is tried again by Ray itself",
        "contract::test_what_an_actor_ran_that_dies_is_over_and_ray_begins_it_on_no_other",
    ),
    (
        "the actors and their engines end with it",
        "losses::test_each_piece_is_made_once_while_actors_and_nodes_are_lost_and_join",
    ),
)
