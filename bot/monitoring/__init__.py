"""What is measured, and the pages on which a monitor reads it."""
