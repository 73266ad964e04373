-- Longer pieces, several models, and what may be forgotten. Times are UTC seconds since 1970.

-- What a piece goes on from: seconds of music that it repeats, and cost nothing.
ALTER TABLE jobs ADD COLUMN before REAL NOT NULL DEFAULT 0;
-- The piece whose form was edited.
ALTER TABLE jobs ADD COLUMN edited_from INTEGER;
-- 1: the member wants no more than what exists.
ALTER TABLE jobs ADD COLUMN stopping INTEGER NOT NULL DEFAULT 0;
-- How often a job whose model was loaded went before this one, whose model was not.
ALTER TABLE jobs ADD COLUMN passed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN picture TEXT;
-- When its message and files were deleted, and when its words were forgotten.
ALTER TABLE jobs ADD COLUMN deleted_at REAL;
ALTER TABLE jobs ADD COLUMN forgotten_at REAL;

CREATE INDEX jobs_by_user ON jobs (user_id) WHERE forgotten_at IS NULL;
CREATE INDEX jobs_by_server ON jobs (guild_id) WHERE forgotten_at IS NULL;
CREATE INDEX jobs_by_model ON jobs (model, priority DESC, id) WHERE status = 'queued';
CREATE INDEX takes_with_files ON takes (id) WHERE audio IS NOT NULL OR codes IS NOT NULL;

ALTER TABLE takes ADD COLUMN preview TEXT;

-- When the bot was removed from a server.
ALTER TABLE servers ADD COLUMN left_at REAL;

-- A post may be a preview, which is deleted once it is replaced.
CREATE TABLE posts_of_0003 (
    id INTEGER PRIMARY KEY,
    job_id INTEGER NOT NULL REFERENCES jobs (id),
    part INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('result', 'failure', 'preview')),
    nonce TEXT NOT NULL UNIQUE,
    route TEXT NOT NULL DEFAULT 'channel',
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at REAL NOT NULL,
    message_id INTEGER,
    delivered_at REAL,
    refused_at REAL,
    replaced_at REAL,
    UNIQUE (job_id, part, kind)
) STRICT;

INSERT INTO posts_of_0003
SELECT id, job_id, part, kind, nonce, route, attempts, due_at, message_id, delivered_at, refused_at,
    NULL
FROM posts;
DROP TABLE posts;
ALTER TABLE posts_of_0003 RENAME TO posts;

CREATE INDEX posts_undelivered ON posts (due_at) WHERE delivered_at IS NULL AND refused_at IS NULL;
CREATE INDEX posts_to_replace ON posts (job_id)
    WHERE kind = 'preview' AND delivered_at IS NOT NULL AND replaced_at IS NULL;
