"""From a waiting job to its music: one loop for the engine."""
