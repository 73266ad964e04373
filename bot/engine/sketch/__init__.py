"""A small procedural composer, for trying the bot without weights."""
