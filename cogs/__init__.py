"""Discord in and out: commands, buttons and messages."""
