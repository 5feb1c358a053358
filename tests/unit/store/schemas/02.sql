BEGIN TRANSACTION;
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
INSERT INTO "attempts" VALUES(2,1,'launch-feed-2-1','["MIG-a-0"]','sha256:1',1800000000.25,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO "attempts" VALUES(3,1,'launch-feed-3-1','["MIG-a-1"]','sha256:1',1800000000.25,NULL,NULL,NULL,NULL,0,NULL);
CREATE TABLE drains (
    uuid TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    user TEXT NOT NULL,
    at REAL NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "drains" VALUES('MIG-a-2','maintenance',0,0,'root',1800000000.25);
CREATE TABLE history (
    seq INTEGER PRIMARY KEY,
    job INTEGER NOT NULL REFERENCES jobs (id),
    at REAL NOT NULL,
    event TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
INSERT INTO "history" VALUES(1,1,1800000000.25,'submitted','by alice');
INSERT INTO "history" VALUES(2,3,1800000000.25,'ended','');
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
INSERT INTO "jobs" VALUES(1,1000,1000,'alice','job','busybox:1','missing',NULL,'{"kind": "profile", "count": 1, "profile": "1g.6gb"}',7,1800000000.25,60.0,10.0,'PENDING',NULL,NULL,NULL,0,'[]',NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,'{}');
INSERT INTO "jobs" VALUES(2,1000,1000,'alice','job','busybox:1','missing',NULL,'{"kind": "profile", "count": 1, "profile": "1g.6gb"}',50,1800000000.25,NULL,10.0,'STARTING',NULL,NULL,NULL,1,'["MIG-a-0"]','sha256:1',NULL,NULL,NULL,NULL,NULL,NULL,0,0,'{}');
INSERT INTO "jobs" VALUES(3,1000,1000,'alice','job','busybox:1','missing',NULL,'{"kind": "profile", "count": 1, "profile": "1g.6gb"}',50,1800000000.25,NULL,10.0,'DONE','COMPLETED',NULL,NULL,1,'["MIG-a-1"]',NULL,NULL,0,NULL,NULL,NULL,NULL,0,0,'{}');
CREATE TABLE layouts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    verb TEXT NOT NULL,
    request TEXT NOT NULL,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    user TEXT NOT NULL,
    asked_at REAL NOT NULL,
    ended_at REAL,
    state TEXT NOT NULL CHECK (
        state IN ('waiting', 'running', 'looking', 'rolling-back', 'done')
    ),
    result TEXT CHECK (result IN ('applied', 'failed', 'cancelled')),
    message TEXT,
    document TEXT NOT NULL,
    CHECK ((result IS NOT NULL) = (state = 'done'))
) STRICT;
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
INSERT INTO "leases" VALUES(2,1,'MIG-a-0','GPU-a',0,'1g.6gb',14,5952,0,0,0,1,1800000000.25,NULL,NULL);
INSERT INTO "leases" VALUES(3,1,'MIG-a-1','GPU-a',0,'1g.6gb',14,5952,1,0,1,1,1800000000.25,1800000060.25,NULL);
CREATE TABLE made (
    gpu_uuid TEXT NOT NULL,
    gi INTEGER NOT NULL,
    profile_id INTEGER NOT NULL,
    start INTEGER NOT NULL,
    PRIMARY KEY (gpu_uuid, gi)
) STRICT, WITHOUT ROWID;
INSERT INTO "made" VALUES('GPU-a',1,14,0);
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
INSERT INTO "meta" VALUES('store','feedfeed');
INSERT INTO "meta" VALUES('clock','5.0');
CREATE TABLE quarantines (
    slice_uuid TEXT PRIMARY KEY,
    why TEXT NOT NULL
, lasting INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
INSERT INTO "quarantines" VALUES('MIG-a-3','a process stayed',1);
CREATE INDEX jobs_live ON jobs (id) WHERE state <> 'DONE';
CREATE INDEX jobs_by_name ON jobs (name);
CREATE UNIQUE INDEX one_live_lease_per_slice ON leases (slice_uuid) WHERE released_at IS NULL;
CREATE INDEX history_by_job ON history (job);
CREATE UNIQUE INDEX one_open_layout ON layouts ((1)) WHERE state <> 'done';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',3);
COMMIT;
PRAGMA user_version = 2;
