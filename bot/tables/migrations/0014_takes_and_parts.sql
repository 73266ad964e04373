-- What a message holds is two columns: the take, and which part of it. It was 100 times the take
-- and the part in one number.

CREATE TABLE posts_of_0014 (
    id INTEGER PRIMARY KEY,
    job_id INTEGER NOT NULL REFERENCES jobs (id),
    kind TEXT NOT NULL CHECK (kind IN ('result', 'failure', 'preview')),
    -- 0: all takes.
    take INTEGER NOT NULL DEFAULT 0,
    -- Of a result which part of its take, 0: the whole; of others how many of the kind came before.
    part INTEGER NOT NULL DEFAULT 0,
    nonce TEXT NOT NULL UNIQUE,
    route TEXT NOT NULL DEFAULT 'channel',
    -- Where that is: what is owed to one place is sent in order.
    place INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    faults INTEGER NOT NULL DEFAULT 0,
    due_at REAL NOT NULL,
    holds INTEGER NOT NULL DEFAULT 0,
    tried_at REAL,
    message_id INTEGER,
    delivered_at REAL,
    refused_at REAL,
    withdrawn_at REAL,
    replaced_at REAL,
    UNIQUE (job_id, kind, take, part)
) STRICT;

INSERT INTO posts_of_0014
SELECT id, job_id, kind, IIF(kind = 'result', part / 100, 0), IIF(kind = 'result', part % 100, part),
    nonce, route, place, attempts, faults, due_at, holds, tried_at, message_id, delivered_at,
    refused_at, withdrawn_at, replaced_at
FROM posts;
DROP TABLE posts;
ALTER TABLE posts_of_0014 RENAME TO posts;

CREATE INDEX posts_undelivered ON posts (due_at) WHERE delivered_at IS NULL AND refused_at IS NULL;
CREATE INDEX posts_to_replace ON posts (job_id)
    WHERE kind = 'preview' AND delivered_at IS NOT NULL AND replaced_at IS NULL;
CREATE INDEX posts_that_hold ON posts (place, id)
    WHERE delivered_at IS NULL AND refused_at IS NULL AND holds = 1;
