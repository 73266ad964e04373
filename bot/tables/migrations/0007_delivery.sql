-- Delivery: faults of our own, and how large a file Discord was seen to refuse.

-- Tries that failed by a fault of the program or of its disk; Discord's are counted in attempts.
ALTER TABLE posts ADD COLUMN faults INTEGER NOT NULL DEFAULT 0;

-- Bytes of the largest file, in a message with so many, that Discord called too large: by server
-- (0: direct messages). Answers to interactions (1) may hold larger ones than other messages (0).
DROP TABLE uploads;
CREATE TABLE uploads (
    guild_id INTEGER NOT NULL,
    answer INTEGER NOT NULL,
    files INTEGER NOT NULL,
    refused_bytes INTEGER NOT NULL,
    refused_at REAL NOT NULL,
    PRIMARY KEY (guild_id, answer, files)
) STRICT;
