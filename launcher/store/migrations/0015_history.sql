-- The number of jobs by outcome, and of those that have not ended (LIVE). The triggers maintain the
-- counts, so that no query counts a million rows, and a start detects an index that lost a job.
CREATE TABLE tallies (
    word TEXT PRIMARY KEY,
    jobs INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO tallies (word, jobs)
SELECT CASE state WHEN 'DONE' THEN outcome ELSE 'LIVE' END AS word, COUNT(*) FROM jobs GROUP BY word;

CREATE TRIGGER job_is_new AFTER INSERT ON jobs
BEGIN
    INSERT INTO tallies (word, jobs)
    VALUES (CASE NEW.state WHEN 'DONE' THEN NEW.outcome ELSE 'LIVE' END, 1)
    ON CONFLICT (word) DO UPDATE SET jobs = jobs + 1;
END;

CREATE TRIGGER job_ends AFTER UPDATE OF state ON jobs WHEN (OLD.state = 'DONE') <> (NEW.state = 'DONE')
BEGIN
    UPDATE tallies SET jobs = jobs - 1
    WHERE word = CASE OLD.state WHEN 'DONE' THEN OLD.outcome ELSE 'LIVE' END;
    INSERT INTO tallies (word, jobs)
    VALUES (CASE NEW.state WHEN 'DONE' THEN NEW.outcome ELSE 'LIVE' END, 1)
    ON CONFLICT (word) DO UPDATE SET jobs = jobs + 1;
END;

CREATE TRIGGER job_is_gone AFTER DELETE ON jobs
BEGIN
    UPDATE tallies SET jobs = jobs - 1
    WHERE word = CASE OLD.state WHEN 'DONE' THEN OLD.outcome ELSE 'LIVE' END;
END;

DROP INDEX jobs_ended;

-- The same table without an index on container names: they follow from job and number.
CREATE TABLE attempts_new (
    job INTEGER NOT NULL REFERENCES jobs (id),
    number INTEGER NOT NULL,
    container_name TEXT NOT NULL,
    slices TEXT NOT NULL,
    image_id TEXT NOT NULL,
    granted_at REAL NOT NULL,
    container_id TEXT,
    started_at TEXT,
    ended_at TEXT,
    exit_code INTEGER,
    oom INTEGER NOT NULL,
    cause TEXT,
    -- The kernel's boot id, until the attempt has ended.
    boot TEXT,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;

INSERT INTO attempts_new SELECT * FROM attempts;
DROP TABLE attempts;
ALTER TABLE attempts_new RENAME TO attempts;

-- Deleted jobs and the time of deletion (seconds since 1970): ids from `first` to `last`.
CREATE TABLE pruned (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    at REAL NOT NULL
) STRICT;

-- The use of deleted jobs, by day (UTC): slice-seconds, or slot-seconds of CPU jobs. `jobs` counts jobs
-- that ended on that day.
CREATE TABLE usage (
    day TEXT NOT NULL,
    uid INTEGER NOT NULL,
    profile TEXT NOT NULL,
    image TEXT NOT NULL,
    outcome TEXT NOT NULL,
    user TEXT NOT NULL,
    jobs INTEGER NOT NULL,
    seconds REAL NOT NULL,
    PRIMARY KEY (day, uid, profile, image, outcome)
) STRICT, WITHOUT ROWID;

-- Only the last 10,000 layout changes are stored.
CREATE TRIGGER layouts_are_bounded AFTER INSERT ON layouts
BEGIN
    DELETE FROM layouts WHERE id <= NEW.id - 10000 AND state = 'done';
END;
