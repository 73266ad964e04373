-- What members typed into forms that were refused, of each the newest, so that they can go back to it.

CREATE TABLE drafts (
    user_id INTEGER PRIMARY KEY,
    guild_id INTEGER NOT NULL,
    form TEXT NOT NULL,
    said TEXT NOT NULL,
    typed_at REAL NOT NULL
) STRICT;
