-- Seconds that the engine needed for a job, by a clock that nobody sets.
ALTER TABLE jobs ADD COLUMN spent REAL;
UPDATE jobs SET spent = rendered_at - started_at WHERE rendered_at >= started_at;

-- Speeds that were measured while the clock was set, or that nobody can believe: they are measured
-- again. A pace is in seconds of work per second of music.
DELETE FROM speeds WHERE NOT (pace > 0 AND pace <= 3600);
