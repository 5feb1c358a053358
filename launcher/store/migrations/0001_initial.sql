CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE jobs (
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
    spec TEXT NOT NULL,
    -- An outcome is there exactly when the job has ended.
    CHECK ((outcome IS NOT NULL) = (state IN ('COMPLETING', 'DONE')))
) STRICT;

CREATE INDEX jobs_live ON jobs (id) WHERE state <> 'DONE';
CREATE INDEX jobs_by_name ON jobs (name);

CREATE TABLE attempts (
    job INTEGER NOT NULL REFERENCES jobs (id),
    number INTEGER NOT NULL,
    container_name TEXT NOT NULL UNIQUE,
    slices TEXT NOT NULL,
    image_id TEXT NOT NULL,
    granted_at REAL NOT NULL,
    container_id TEXT,
    started_at TEXT,
    ended_at TEXT,
    exit_code INTEGER,
    oom INTEGER NOT NULL,
    cause TEXT,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    job INTEGER NOT NULL REFERENCES jobs (id),
    attempt INTEGER NOT NULL,
    slice_uuid TEXT NOT NULL,
    gpu_uuid TEXT NOT NULL,
    gpu_index INTEGER NOT NULL,
    profile TEXT NOT NULL,
    profile_id INTEGER,
    memory_mib INTEGER NOT NULL,
    gi INTEGER,
    ci INTEGER,
    placement_start INTEGER,
    placement_size INTEGER,
    granted_at REAL NOT NULL,
    released_at REAL,
    quarantine TEXT,
    PRIMARY KEY (job, attempt, slice_uuid)
) STRICT, WITHOUT ROWID;

-- One live lease per slice, whatever the program thinks.
CREATE UNIQUE INDEX one_live_lease_per_slice ON leases (slice_uuid) WHERE released_at IS NULL;

CREATE TABLE quarantines (
    slice_uuid TEXT PRIMARY KEY,
    why TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE history (
    seq INTEGER PRIMARY KEY,
    job INTEGER NOT NULL REFERENCES jobs (id),
    at REAL NOT NULL,
    event TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX history_by_job ON history (job);
