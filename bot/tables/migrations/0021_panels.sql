-- The message of /panel in each channel that has one, which stays near the end of its channel.
CREATE TABLE panels (
    channel_id INTEGER PRIMARY KEY,
    guild_id INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    looked_at REAL NOT NULL,
    -- Whether the bot posted something below it since it was last looked at.
    passed INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX panels_passed ON panels (looked_at) WHERE passed = 1;
