"""From a waiting job to its music: the loop that feeds the engine."""
