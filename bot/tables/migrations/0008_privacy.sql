-- What is shown to whom, and what is erased. Times are UTC seconds since 1970.

-- What the channel is to who wants to look into it: channel, thread or private thread; and what a
-- thread belongs to.
ALTER TABLE jobs ADD COLUMN channel_kind TEXT;
ALTER TABLE jobs ADD COLUMN parent_id INTEGER;

CREATE INDEX jobs_with_token ON jobs (created_at) WHERE token <> '';
CREATE INDEX jobs_with_words ON jobs (ended_at) WHERE forgotten_at IS NULL;
CREATE INDEX jobs_forgotten ON jobs (user_id) WHERE forgotten_at IS NOT NULL;
CREATE INDEX audit_by_subject ON audit (member_id) WHERE member_id IS NOT NULL;
CREATE INDEX audit_by_actor ON audit (actor_id);
CREATE INDEX grants_with_reason ON grants (user_id) WHERE reason <> '';
CREATE INDEX members_by_reason ON members (user_id) WHERE block_reason IS NOT NULL;

-- The messages that /resend posted.
CREATE TABLE repeats (
    message_id INTEGER PRIMARY KEY,
    channel_id INTEGER NOT NULL,
    job_id INTEGER NOT NULL REFERENCES jobs (id)
) STRICT;

CREATE INDEX repeats_by_job ON repeats (job_id);

-- The bot's messages that are to be deleted, since who asked for them was forgotten.
CREATE TABLE removals (
    message_id INTEGER PRIMARY KEY,
    channel_id INTEGER NOT NULL,
    due_at REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX removals_by_time ON removals (due_at);
