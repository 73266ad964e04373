-- Tiers, quotas and the levers of admins. Times are UTC seconds since 1970.

-- Where the promised tier came from, and its weight in the queue.
ALTER TABLE jobs ADD COLUMN source TEXT NOT NULL DEFAULT 'default';
ALTER TABLE jobs ADD COLUMN weight INTEGER NOT NULL DEFAULT 1;
-- 1: paid by a member's own subscription, whose allowance counts over all servers.
ALTER TABLE jobs ADD COLUMN everywhere INTEGER NOT NULL DEFAULT 0;
-- 1: an admin reset the day's use afterwards.
ALTER TABLE jobs ADD COLUMN forgiven INTEGER NOT NULL DEFAULT 0;
-- When `day` was charged, and when something of it was last given back.
ALTER TABLE jobs ADD COLUMN charged_at REAL NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN returned_at REAL;

UPDATE jobs SET charged_at = created_at;
UPDATE jobs SET returned_at = ended_at WHERE status IN ('failed', 'cancelled', 'undeliverable');
UPDATE jobs SET model = replace(substr(model, instr(model, '/') + 1), 'musicgen-', '');

CREATE INDEX jobs_waiting ON jobs (guild_id, user_id) WHERE status = 'queued';
CREATE INDEX jobs_running ON jobs (guild_id, user_id) WHERE status = 'running';
CREATE INDEX jobs_everywhere ON jobs (user_id, day) WHERE everywhere = 1;
CREATE INDEX jobs_by_server_day ON jobs (guild_id, day);
CREATE INDEX jobs_by_charge ON jobs (guild_id, user_id, charged_at);
CREATE INDEX jobs_by_return ON jobs (guild_id, user_id, returned_at) WHERE returned_at IS NOT NULL;

-- A server without rows has the default tiers; its first change copies them here.
CREATE TABLE tiers (
    guild_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    price TEXT NOT NULL,
    longest INTEGER NOT NULL CHECK (longest > 0),
    takes INTEGER NOT NULL CHECK (takes > 0),
    per_day INTEGER NOT NULL CHECK (per_day >= 0),
    waiting INTEGER NOT NULL CHECK (waiting > 0),
    models TEXT NOT NULL,
    weight INTEGER NOT NULL CHECK (weight > 0),
    link TEXT,
    PRIMARY KEY (guild_id, key)
) STRICT;

CREATE TABLE role_tiers (
    guild_id INTEGER NOT NULL,
    role_id INTEGER NOT NULL,
    role_name TEXT NOT NULL,
    tier TEXT NOT NULL,
    PRIMARY KEY (guild_id, role_id)
) STRICT;

CREATE TABLE members (
    guild_id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    tier TEXT,
    tier_until REAL,
    per_day INTEGER CHECK (per_day >= 0),
    blocked_at REAL,
    blocked_until REAL,
    block_reason TEXT,
    PRIMARY KEY (guild_id, user_id)
) STRICT;

CREATE INDEX members_by_tier ON members (guild_id, tier) WHERE tier IS NOT NULL;

CREATE TABLE grants (
    id INTEGER PRIMARY KEY,
    guild_id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    seconds INTEGER NOT NULL CHECK (seconds > 0),
    reason TEXT NOT NULL,
    created_at REAL NOT NULL,
    expires_at REAL
) STRICT;

CREATE INDEX grants_by_member ON grants (guild_id, user_id, created_at);

-- What a job took from grants: `drawn` when it was charged, `seconds` what it still keeps.
CREATE TABLE draws (
    id INTEGER PRIMARY KEY,
    job_id INTEGER NOT NULL REFERENCES jobs (id),
    grant_id INTEGER NOT NULL REFERENCES grants (id),
    drawn INTEGER NOT NULL CHECK (drawn > 0),
    seconds INTEGER NOT NULL CHECK (seconds BETWEEN 0 AND drawn)
) STRICT;

CREATE INDEX draws_by_job ON draws (job_id);
CREATE INDEX draws_by_grant ON draws (grant_id);

-- The operator's word on a server; NULL leaves a limit as .env has it.
CREATE TABLE servers (
    guild_id INTEGER PRIMARY KEY,
    allowed INTEGER,
    max_seconds INTEGER CHECK (max_seconds > 0),
    waiting INTEGER CHECK (waiting > 0),
    seconds_per_day INTEGER CHECK (seconds_per_day >= 0),
    told_at REAL
) STRICT;

CREATE TABLE channels (
    guild_id INTEGER NOT NULL,
    channel_id INTEGER NOT NULL,
    PRIMARY KEY (guild_id, channel_id)
) STRICT;

CREATE TABLE words (
    guild_id INTEGER NOT NULL,
    word TEXT NOT NULL,
    PRIMARY KEY (guild_id, word)
) STRICT;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    guild_id INTEGER NOT NULL,
    at REAL NOT NULL,
    actor_id INTEGER NOT NULL,
    actor_name TEXT NOT NULL,
    action TEXT NOT NULL,
    member_id INTEGER,
    subject TEXT NOT NULL,
    before TEXT,
    after TEXT,
    reason TEXT
) STRICT;

CREATE INDEX audit_by_server ON audit (guild_id, id);
CREATE INDEX audit_by_member ON audit (guild_id, member_id, id);
