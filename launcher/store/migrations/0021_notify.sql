-- The targets of notifications that a user set for all jobs, as JSON.
CREATE TABLE notify_targets (
    uid INTEGER PRIMARY KEY,
    user TEXT NOT NULL,
    targets TEXT NOT NULL
) STRICT;

-- The last notifications that could not be sent; `job` is the id of a job or array.
CREATE TABLE notify_failures (
    seq INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    uid INTEGER NOT NULL,
    job INTEGER,
    target TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX notify_failures_by_job ON notify_failures (job);
CREATE INDEX notify_failures_by_user ON notify_failures (uid);

CREATE TRIGGER notify_failures_are_bounded AFTER INSERT ON notify_failures
BEGIN
    DELETE FROM notify_failures WHERE seq <= NEW.seq - 10000;
END;
