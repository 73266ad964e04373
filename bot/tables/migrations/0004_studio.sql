-- Faults, fairness, and what this machine was seen to do. Times are UTC seconds since 1970.

-- Where a post goes: the channel's id, or the member's for a direct message.
ALTER TABLE posts ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
-- When it was first sent without a clear answer, so that it may stand there already.
ALTER TABLE posts ADD COLUMN tried_at REAL;
-- 1: Discord failed, so what comes later waits in that place.
ALTER TABLE posts ADD COLUMN holds INTEGER NOT NULL DEFAULT 0;

UPDATE posts SET place = (
    SELECT IIF(route = 'direct', user_id, channel_id) FROM jobs WHERE jobs.id = job_id
);

CREATE INDEX posts_that_hold ON posts (place, id)
    WHERE delivered_at IS NULL AND refused_at IS NULL AND holds = 1;

-- Bytes of a message with so many files that Discord called too large, by server; 0: direct.
CREATE TABLE uploads (
    guild_id INTEGER NOT NULL,
    files INTEGER NOT NULL,
    refused_bytes INTEGER NOT NULL,
    refused_at REAL NOT NULL,
    PRIMARY KEY (guild_id, files)
) STRICT;

-- The first waiting job of each member, and what each was given in the last hour.
DROP INDEX jobs_waiting;
DROP INDEX jobs_by_model;
CREATE INDEX jobs_waiting ON jobs (guild_id, user_id, model, priority) WHERE status = 'queued';
CREATE INDEX jobs_by_start ON jobs (started_at) WHERE started_at IS NOT NULL;

-- Why it failed: request, memory, time, crash or disk.
ALTER TABLE jobs ADD COLUMN fault TEXT;

-- How often the engine died with it, and how carefully it is rendered: 0 beside others, 1 alone,
-- 2 alone and one take at a time.
ALTER TABLE jobs ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN care INTEGER NOT NULL DEFAULT 0;

-- What this machine was seen to do: seconds of work per second of music, the longest piece that was
-- made, and the shortest that the memory was too small for.
CREATE TABLE speeds (
    model TEXT NOT NULL,
    device TEXT NOT NULL,
    precision TEXT NOT NULL,
    pace REAL NOT NULL,
    fits REAL NOT NULL DEFAULT 0,
    too_long REAL,
    too_long_at REAL,
    PRIMARY KEY (model, device, precision)
) STRICT;
