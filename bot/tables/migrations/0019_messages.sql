-- Of which piece a message is, whatever kind of message; and which results still show what is gone.

ALTER TABLE posts ADD COLUMN outdated INTEGER NOT NULL DEFAULT 0;

CREATE INDEX posts_outdated ON posts (id) WHERE outdated = 1 AND message_id IS NOT NULL;
CREATE INDEX posts_by_message ON posts (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX jobs_by_status_message ON jobs (status_message_id)
    WHERE status_message_id IS NOT NULL;
