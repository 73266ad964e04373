"""ACE-Step 1.5 by diffusers: its parts, with a loop of our own over them."""
