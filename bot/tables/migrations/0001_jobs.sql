-- Times are UTC seconds since 1970; `day` is the UTC day of submission, YYYY-MM-DD.

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    status TEXT NOT NULL CHECK (status IN
        ('queued', 'running', 'rendered', 'delivered', 'failed', 'cancelled', 'undeliverable')),
    guild_id INTEGER NOT NULL,
    channel_id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    user_name TEXT NOT NULL,
    application_id INTEGER NOT NULL,
    token TEXT NOT NULL,
    status_message_id INTEGER,
    shown TEXT,
    prompt TEXT NOT NULL,
    seconds INTEGER NOT NULL CHECK (seconds > 0),
    takes INTEGER NOT NULL CHECK (takes > 0),
    model TEXT NOT NULL,
    seed INTEGER NOT NULL,
    guidance REAL NOT NULL,
    temperature REAL NOT NULL,
    top_k INTEGER NOT NULL,
    parent_take INTEGER REFERENCES takes (id),
    tier TEXT NOT NULL,
    allowance_seconds INTEGER NOT NULL,
    priority INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    progress REAL NOT NULL DEFAULT 0,
    reason TEXT,
    day TEXT NOT NULL,
    created_at REAL NOT NULL,
    started_at REAL,
    rendered_at REAL,
    ended_at REAL
) STRICT;

CREATE INDEX jobs_by_queue ON jobs (priority DESC, id) WHERE status = 'queued';
CREATE INDEX jobs_by_status ON jobs (status);
CREATE INDEX jobs_by_member ON jobs (guild_id, user_id, day);
CREATE INDEX jobs_by_speed ON jobs (model, rendered_at) WHERE rendered_at IS NOT NULL;
CREATE INDEX jobs_to_show ON jobs (id) WHERE status_message_id IS NOT NULL AND shown IS NOT status;

CREATE TABLE takes (
    id INTEGER PRIMARY KEY,
    job_id INTEGER NOT NULL REFERENCES jobs (id),
    number INTEGER NOT NULL CHECK (number > 0),
    seed INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'rendered', 'dropped')),
    charged_seconds INTEGER NOT NULL CHECK (charged_seconds >= 0),
    seconds REAL,
    audio TEXT,
    codes TEXT,
    UNIQUE (job_id, number)
) STRICT;

CREATE TABLE posts (
    id INTEGER PRIMARY KEY,
    job_id INTEGER NOT NULL REFERENCES jobs (id),
    part INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('result', 'failure')),
    nonce TEXT NOT NULL UNIQUE,
    route TEXT NOT NULL DEFAULT 'channel',
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at REAL NOT NULL,
    message_id INTEGER,
    delivered_at REAL,
    refused_at REAL,
    UNIQUE (job_id, part, kind)
) STRICT;

CREATE INDEX posts_undelivered ON posts (due_at) WHERE delivered_at IS NULL AND refused_at IS NULL;

CREATE TABLE settings (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
