-- What is paid and what is had. Times are UTC seconds since 1970.

-- Seconds of music that a job was charged when it was last charged; 0 in the idle lane.
ALTER TABLE jobs ADD COLUMN price INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET price = seconds * takes WHERE priority >= 0;
-- Its weight among servers: only that of a subscription which the operator sells counts there.
ALTER TABLE jobs ADD COLUMN server_weight INTEGER NOT NULL DEFAULT 1;
UPDATE jobs SET server_weight = weight WHERE source IN ('user subscription', 'server subscription');
-- 1: its beginning was posted, so it can be stopped and no longer cancelled.
ALTER TABLE jobs ADD COLUMN heard INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET heard = 1 WHERE id IN (
    SELECT job_id FROM posts WHERE kind = 'preview' AND delivered_at IS NOT NULL
);

CREATE INDEX jobs_unposted ON jobs (user_id, ended_at) WHERE status = 'undeliverable';

-- The interactions that queued a job or had it posted again: Discord may deliver one twice.
CREATE TABLE interactions (
    id INTEGER PRIMARY KEY,
    job_id INTEGER NOT NULL REFERENCES jobs (id)
) STRICT;

-- A post that was under way when its owner wanted it no more: it is not sent again, but if it stands
-- there, it was delivered.
ALTER TABLE posts ADD COLUMN withdrawn_at REAL;

-- Whole seconds of music that a take adds to what it goes on from: what it is charged once it exists.
ALTER TABLE takes ADD COLUMN added INTEGER;
UPDATE takes SET added = (
    SELECT CAST(new AS INTEGER) + (new > CAST(new AS INTEGER)) FROM (
        SELECT ROUND(takes.seconds - before, 6) AS new FROM jobs WHERE id = takes.job_id
    )
) WHERE state = 'rendered';
