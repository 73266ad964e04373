-- There may be several engines: each has a row, its jobs and its own speeds.
CREATE TABLE engines (
    name TEXT PRIMARY KEY,
    state TEXT NOT NULL DEFAULT 'loading',
    trouble TEXT,
    paused INTEGER NOT NULL DEFAULT 0,
    device TEXT,
    precision TEXT,
    models TEXT NOT NULL DEFAULT '[]',
    unfit TEXT NOT NULL DEFAULT '[]',
    loaded TEXT NOT NULL DEFAULT '[]'
) STRICT;
ALTER TABLE jobs ADD COLUMN engine TEXT;
-- Whose turn it is follows from what was started lately: of that no row need be looked up.
DROP INDEX jobs_by_start;
CREATE INDEX jobs_by_start ON jobs (
    started_at, guild_id, user_id, work, weight, server_weight
) WHERE started_at IS NOT NULL;
CREATE INDEX jobs_awaiting ON jobs (engine) WHERE status = 'queued' AND engine IS NOT NULL;
ALTER TABLE speeds RENAME TO speeds_before;
CREATE TABLE speeds (
    engine TEXT NOT NULL,
    model TEXT NOT NULL,
    device TEXT NOT NULL,
    precision TEXT NOT NULL,
    pace REAL NOT NULL,
    slots INTEGER NOT NULL,
    fits REAL NOT NULL DEFAULT 0,
    too_long REAL,
    too_long_at REAL,
    PRIMARY KEY (engine, model)
) STRICT;
-- What the one engine knew is now the first one's, whose name says what it runs on.
INSERT INTO speeds (engine, model, device, precision, pace, slots, fits, too_long, too_long_at)
SELECT IIF(device LIKE 'cpu%', 'cpu-0', 'gpu-0'), model, device, precision, pace, slots, fits,
    too_long, too_long_at
FROM speeds_before
WHERE device = (SELECT value FROM settings WHERE key = 'device')
    AND precision = (SELECT value FROM settings WHERE key = 'precision');
DROP TABLE speeds_before;
DELETE FROM settings WHERE key IN ('engine', 'device', 'precision', 'unfit');
