-- Pieces have titles of their members' own, and stars that keep them at the top of the list and on the
-- disk; how many is for the tier to say.

ALTER TABLE jobs ADD COLUMN title TEXT;
ALTER TABLE jobs ADD COLUMN starred INTEGER NOT NULL DEFAULT 0;

DROP INDEX jobs_by_history;
CREATE INDEX jobs_by_history ON jobs (guild_id, user_id, starred, id)
    WHERE rendered_at IS NOT NULL AND deleted_at IS NULL AND forgotten_at IS NULL;

ALTER TABLE tiers ADD COLUMN stars INTEGER NOT NULL DEFAULT 3;
UPDATE tiers SET stars = CASE
    WHEN per_day >= 7200 THEN 100
    WHEN per_day >= 1200 THEN 50
    WHEN per_day >= 300 THEN 25
    WHEN per_day >= 120 THEN 10
    ELSE 3
END;
