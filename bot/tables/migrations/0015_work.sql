-- Seconds of music that a job makes, all its takes together. Its price and its share of the queue are
-- reckoned by them when it is queued; in the idle lane it costs nothing and has its share all the same.

ALTER TABLE jobs ADD COLUMN work INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET work = seconds * takes;
