-- Arrays and matrices: their ids are from the same counter as those of jobs.
CREATE TABLE arrays (
    id INTEGER PRIMARY KEY,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    user TEXT NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    max_parallel INTEGER,
    indices TEXT NOT NULL
) STRICT;

-- A job that will run again has ended an attempt and has no outcome yet: the rule that joins state
-- and outcome is another one, which needs the table anew (sqlite.org/lang_altertable.html#otheralter).
CREATE TABLE jobs_new (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    user TEXT NOT NULL,
    name TEXT NOT NULL,
    image TEXT NOT NULL,
    pull_policy TEXT NOT NULL CHECK (pull_policy IN ('always', 'missing', 'never')),
    credentials_uid INTEGER,
    need TEXT NOT NULL,
    priority INTEGER NOT NULL,
    submitted_at REAL NOT NULL,
    time_limit REAL,
    stop_grace REAL NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('PENDING', 'STARTING', 'RUNNING', 'COMPLETING', 'DONE')),
    outcome TEXT CHECK (
        outcome IN ('COMPLETED', 'FAILED', 'CANCELLED', 'TIMEOUT', 'OUT_OF_MEMORY', 'LOST')
    ),
    reason TEXT,
    message TEXT,
    attempt INTEGER NOT NULL,
    slices TEXT NOT NULL,
    image_id TEXT,
    container_id TEXT,
    exit_code INTEGER,
    started_at TEXT,
    ended_at TEXT,
    started_wall REAL,
    cancelled_by INTEGER,
    timed_out INTEGER NOT NULL,
    never_started INTEGER NOT NULL,
    held TEXT,
    begin_at REAL,
    waits_for TEXT NOT NULL DEFAULT '[]',
    -- All jobs that must end first, also those that have: for who tries it again.
    depends_on TEXT NOT NULL DEFAULT '[]',
    -- An element of an array or matrix; `params` are the values of its combination.
    array_id INTEGER REFERENCES arrays (id),
    array_index INTEGER,
    params TEXT,
    retries TEXT,
    warn TEXT,
    idle_timeout REAL,
    preemptible INTEGER NOT NULL DEFAULT 0,
    -- Why it is queued again once its slices are free.
    again TEXT,
    stop_asked REAL,
    retried INTEGER NOT NULL DEFAULT 0,
    pulls_failed INTEGER NOT NULL DEFAULT 0,
    spec TEXT NOT NULL,
    -- An outcome is there exactly when the job has ended, and will not run again.
    CHECK (
        CASE state
            WHEN 'DONE' THEN outcome IS NOT NULL
            WHEN 'COMPLETING' THEN (outcome IS NULL) = (again IS NOT NULL)
            ELSE outcome IS NULL
        END
    )
) STRICT;

INSERT INTO jobs_new (
    id, uid, gid, user, name, image, pull_policy, credentials_uid, need, priority, submitted_at,
    time_limit, stop_grace, state, outcome, reason, message, attempt, slices, image_id,
    container_id, exit_code, started_at, ended_at, started_wall, cancelled_by, timed_out,
    never_started, held, begin_at, waits_for, depends_on, spec
) SELECT
    id, uid, gid, user, name, image, pull_policy, credentials_uid, need, priority, submitted_at,
    time_limit, stop_grace, state, outcome, reason, message, attempt, slices, image_id,
    container_id, exit_code, started_at, ended_at, started_wall, cancelled_by, timed_out,
    never_started, held, begin_at, waits_for, waits_for, spec
FROM jobs;
DROP TABLE jobs;
ALTER TABLE jobs_new RENAME TO jobs;

CREATE INDEX jobs_live ON jobs (id) WHERE state <> 'DONE';
CREATE INDEX jobs_by_name ON jobs (name);
CREATE INDEX jobs_by_array ON jobs (array_id) WHERE array_id IS NOT NULL;

-- What each user has used, decayed to the time `at`, in slice-GiB-seconds.
CREATE TABLE uses (
    uid INTEGER PRIMARY KEY,
    user TEXT NOT NULL,
    amount REAL NOT NULL,
    at REAL NOT NULL
) STRICT;

CREATE TABLE reservations (
    name TEXT PRIMARY KEY,
    slices TEXT NOT NULL,
    for_user TEXT,
    for_group TEXT,
    start_at REAL NOT NULL,
    end_at REAL NOT NULL,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    user TEXT NOT NULL,
    CHECK ((for_user IS NULL) <> (for_group IS NULL))
) STRICT, WITHOUT ROWID;
