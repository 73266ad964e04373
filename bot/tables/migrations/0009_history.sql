-- What is asked again and again costs no more after a long history, and files go by name.

-- How many jobs there are in each state, of failed ones by fault; the triggers keep it.
CREATE TABLE tallies (
    status TEXT NOT NULL,
    fault TEXT NOT NULL,
    jobs INTEGER NOT NULL,
    PRIMARY KEY (status, fault)
) STRICT, WITHOUT ROWID;

INSERT INTO tallies (status, fault, jobs)
SELECT status, IIF(status = 'failed', COALESCE(fault, 'request'), '') AS kind, COUNT(*)
FROM jobs GROUP BY status, kind;

CREATE TRIGGER jobs_counted AFTER INSERT ON jobs
BEGIN
    INSERT INTO tallies (status, fault, jobs)
    VALUES (NEW.status, IIF(NEW.status = 'failed', COALESCE(NEW.fault, 'request'), ''), 1)
    ON CONFLICT (status, fault) DO UPDATE SET jobs = jobs + 1;
    INSERT OR IGNORE INTO servers (guild_id) VALUES (NEW.guild_id);
END;

CREATE TRIGGER jobs_counted_anew AFTER UPDATE OF status ON jobs WHEN OLD.status <> NEW.status
BEGIN
    UPDATE tallies SET jobs = jobs - 1
    WHERE status = OLD.status
    AND fault = IIF(OLD.status = 'failed', COALESCE(OLD.fault, 'request'), '');
    INSERT INTO tallies (status, fault, jobs)
    VALUES (NEW.status, IIF(NEW.status = 'failed', COALESCE(NEW.fault, 'request'), ''), 1)
    ON CONFLICT (status, fault) DO UPDATE SET jobs = jobs + 1;
END;

-- Every server that asked for music has its row here, which the first trigger makes.
INSERT OR IGNORE INTO servers (guild_id) SELECT DISTINCT guild_id FROM jobs;

DROP INDEX takes_with_files;
CREATE INDEX takes_with_files ON takes (id)
    WHERE audio IS NOT NULL OR codes IS NOT NULL OR preview IS NOT NULL;

CREATE INDEX servers_left ON servers (left_at) WHERE left_at IS NOT NULL;
CREATE INDEX jobs_by_history ON jobs (guild_id, user_id, id)
    WHERE rendered_at IS NOT NULL AND deleted_at IS NULL AND forgotten_at IS NULL;
CREATE INDEX jobs_with_picture ON jobs (id) WHERE picture IS NOT NULL;

-- Files below the data folder that no row needs any more, until they are gone from the disk.
CREATE TABLE unneeded (
    name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
