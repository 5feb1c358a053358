BEGIN TRANSACTION;
CREATE TABLE arrays (
    id INTEGER PRIMARY KEY,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    user TEXT NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    max_parallel INTEGER,
    indices TEXT NOT NULL
, template TEXT, keys TEXT) STRICT;
INSERT INTO "arrays" VALUES(4,1000,1000,'alice','array',2,1,'','{"name":"array","command":["${lr}"]}','["lr"]');
CREATE TABLE "attempts" (
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
    boot TEXT, memory_peak_bytes INTEGER, cpu_seconds REAL, read_bytes INTEGER, written_bytes INTEGER, gpu_memory_peak_mib INTEGER, gpu_activity_percent REAL,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;
INSERT INTO "attempts" VALUES(2,1,'launch-feed-2-1','["MIG-a-0"]','sha256:1',1800000000.25,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "attempts" VALUES(3,1,'launch-feed-3-1','["MIG-a-1"]','sha256:1',1800000000.25,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    uid INTEGER NOT NULL,
    -- The rows of one user, counted from 1.
    nth INTEGER NOT NULL,
    at REAL NOT NULL,
    until REAL NOT NULL,
    user TEXT NOT NULL,
    role TEXT NOT NULL,
    route TEXT NOT NULL,
    jobs TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    count INTEGER NOT NULL CHECK (count > 0),
    policy_version INTEGER NOT NULL,
    UNIQUE (uid, nth)
) STRICT;
INSERT INTO "audit" VALUES(1,1000,1,1800000000.25,1800000000.25,'alice','user','POST /v1/jobs','1','ok','',1,4);
CREATE TABLE capacity (
    seq INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    slices TEXT NOT NULL
) STRICT;
CREATE TABLE drains (
    uuid TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    user TEXT NOT NULL,
    at REAL NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "drains" VALUES('MIG-a-2','maintenance',0,0,'root',1800000000.25);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    type TEXT NOT NULL,
    uid INTEGER,
    user TEXT,
    data TEXT NOT NULL
) STRICT;
CREATE TABLE history (
    seq INTEGER PRIMARY KEY,
    job INTEGER NOT NULL REFERENCES jobs (id),
    at REAL NOT NULL,
    event TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
INSERT INTO "history" VALUES(1,1,1800000000.25,'submitted','by alice');
INSERT INTO "history" VALUES(2,3,1800000000.25,'ended','');
CREATE TABLE "jobs" (
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
    spec TEXT NOT NULL, policy_version INTEGER, kill_now INTEGER, kept_bytes INTEGER, interactive INTEGER, has_ports INTEGER,
    -- An outcome is there exactly when the job has ended, and will not run again.
    CHECK (
        CASE state
            WHEN 'DONE' THEN outcome IS NOT NULL
            WHEN 'COMPLETING' THEN (outcome IS NULL) = (again IS NOT NULL)
            ELSE outcome IS NULL
        END
    )
) STRICT;
INSERT INTO "jobs" VALUES(1,1000,1000,'alice','job','busybox:1','missing',NULL,'{"kind": "profile", "count": 1, "profile": "1g.6gb"}',7,1800000000.25,60.0,10.0,'PENDING',NULL,NULL,NULL,0,'[]',NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,'[]','[]',NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,0,0,'{}',NULL,0,0,0,0);
INSERT INTO "jobs" VALUES(2,1000,1000,'alice','job','busybox:1','missing',NULL,'{"kind": "profile", "count": 1, "profile": "1g.6gb"}',50,1800000000.25,NULL,10.0,'STARTING',NULL,NULL,NULL,1,'["MIG-a-0"]','sha256:1',NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,'[]','[]',NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,0,0,'{}',NULL,0,0,0,0);
INSERT INTO "jobs" VALUES(3,1000,1000,'alice','job','busybox:1','missing',NULL,'{"kind": "profile", "count": 1, "profile": "1g.6gb"}',50,1800000000.25,NULL,10.0,'DONE','COMPLETED',NULL,NULL,1,'["MIG-a-1"]',NULL,NULL,0,NULL,NULL,NULL,NULL,0,0,NULL,NULL,'[]','[]',NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,0,0,'{}',NULL,0,0,0,0);
INSERT INTO "jobs" VALUES(5,1000,1000,'alice','job','busybox:1','missing',NULL,'{"kind": "profile", "count": 1, "profile": "1g.6gb"}',50,1800000000.25,NULL,10.0,'PENDING',NULL,NULL,NULL,0,'[]',NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,'[]','[]',4,0,'{"lr": "0.1"}',NULL,NULL,NULL,0,NULL,NULL,0,0,'',NULL,0,0,0,0);
INSERT INTO "jobs" VALUES(6,1000,1000,'alice','job','busybox:1','missing',NULL,'{"kind": "profile", "count": 1, "profile": "1g.6gb"}',50,1800000000.25,NULL,10.0,'PENDING',NULL,NULL,NULL,0,'[]',NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,'[]','[]',4,1,'{"lr": "0.1"}',NULL,NULL,NULL,0,NULL,NULL,0,0,'',NULL,0,0,0,0);
CREATE TABLE "layouts" (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    verb TEXT NOT NULL,
    request TEXT NOT NULL,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    user TEXT NOT NULL,
    asked_at REAL NOT NULL,
    ended_at REAL,
    state TEXT NOT NULL CHECK (
        state IN ('waiting', 'pending', 'running', 'looking', 'rolling-back', 'done')
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
CREATE TABLE notify_failures (
    seq INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    uid INTEGER NOT NULL,
    job INTEGER,
    target TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE TABLE notify_targets (
    uid INTEGER PRIMARY KEY,
    user TEXT NOT NULL,
    targets TEXT NOT NULL
) STRICT;
CREATE TABLE own_images (
    uid INTEGER NOT NULL,
    name TEXT NOT NULL,
    user TEXT NOT NULL,
    image_id TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    loaded_at REAL NOT NULL,
    PRIMARY KEY (uid, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE private_images (
    image_id TEXT NOT NULL,
    uid INTEGER NOT NULL,
    PRIMARY KEY (image_id, uid)
) STRICT, WITHOUT ROWID;
INSERT INTO "private_images" VALUES('sha256:1',1000);
CREATE TABLE pruned (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    at REAL NOT NULL
) STRICT;
CREATE TABLE public_images (
    image_id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
INSERT INTO "public_images" VALUES('sha256:2');
CREATE TABLE pulled_images (
    image_id TEXT PRIMARY KEY,
    reference TEXT NOT NULL,
    uid INTEGER NOT NULL,
    user TEXT NOT NULL,
    pulled_at REAL NOT NULL,
    used_at REAL NOT NULL,
    used_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE pulls (
    reference TEXT NOT NULL,
    uid INTEGER NOT NULL,
    PRIMARY KEY (reference, uid)
) STRICT, WITHOUT ROWID;
INSERT INTO "pulls" VALUES('private/image:1',1000);
CREATE TABLE quarantines (
    slice_uuid TEXT PRIMARY KEY,
    why TEXT NOT NULL
, lasting INTEGER NOT NULL DEFAULT 0, since REAL) STRICT, WITHOUT ROWID;
INSERT INTO "quarantines" VALUES('MIG-a-3','a process stayed',1,1800000000.25);
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
INSERT INTO "reservations" VALUES('class','["MIG-a-2"]','bob',NULL,1800000000.25,1800003600.25,0,0,'root');
CREATE TABLE tallies (
    word TEXT PRIMARY KEY,
    jobs INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "tallies" VALUES('COMPLETED',1);
INSERT INTO "tallies" VALUES('LIVE',4);
CREATE TABLE "usage" (
    day TEXT NOT NULL,
    uid INTEGER NOT NULL,
    -- -1: not recorded.
    gid INTEGER NOT NULL,
    profile TEXT NOT NULL,
    image TEXT NOT NULL,
    name TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    user TEXT NOT NULL,
    jobs INTEGER NOT NULL,
    seconds REAL NOT NULL,
    gib_seconds REAL NOT NULL,
    waits TEXT NOT NULL,
    PRIMARY KEY (day, uid, gid, profile, image, name, outcome, reason)
) STRICT;
CREATE TABLE uses (
    uid INTEGER PRIMARY KEY,
    user TEXT NOT NULL,
    amount REAL NOT NULL,
    at REAL NOT NULL
) STRICT;
INSERT INTO "uses" VALUES(1000,'alice',12.5,1800000000.25);
CREATE UNIQUE INDEX one_live_lease_per_slice ON leases (slice_uuid) WHERE released_at IS NULL;
CREATE INDEX history_by_job ON history (job);
CREATE INDEX jobs_live ON jobs (id) WHERE state <> 'DONE';
CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
WHEN OLD.nth > (SELECT MAX(nth) FROM audit WHERE uid = OLD.uid) - 100000
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;
CREATE TRIGGER audit_is_bounded AFTER INSERT ON audit
BEGIN
    DELETE FROM audit WHERE uid = NEW.uid AND nth <= NEW.nth - 100000;
END;
CREATE INDEX jobs_by_user ON jobs (uid);
CREATE INDEX jobs_by_name ON jobs (name, uid);
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
CREATE UNIQUE INDEX one_active_layout ON layouts ((1))
WHERE state IN ('running', 'looking', 'rolling-back');
CREATE INDEX open_layouts ON layouts (id) WHERE state <> 'done';
CREATE TRIGGER layouts_are_bounded AFTER INSERT ON layouts
BEGIN
    DELETE FROM layouts WHERE id <= NEW.id - 10000 AND state = 'done';
END;
CREATE TRIGGER capacity_is_bounded AFTER INSERT ON capacity
BEGIN
    DELETE FROM capacity WHERE seq <= NEW.seq - 100000;
END;
CREATE TRIGGER events_are_bounded AFTER INSERT ON events
BEGIN
    DELETE FROM events WHERE seq <= NEW.seq - 100000;
END;
CREATE INDEX notify_failures_by_job ON notify_failures (job);
CREATE INDEX notify_failures_by_user ON notify_failures (uid);
CREATE TRIGGER notify_failures_are_bounded AFTER INSERT ON notify_failures
BEGIN
    DELETE FROM notify_failures WHERE seq <= NEW.seq - 10000;
END;
CREATE INDEX jobs_by_array ON jobs (array_id, state, outcome) WHERE array_id IS NOT NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',6);
INSERT INTO "sqlite_sequence" VALUES('layouts',0);
COMMIT;
PRAGMA user_version = 22;
