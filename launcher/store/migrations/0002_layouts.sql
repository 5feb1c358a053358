ALTER TABLE quarantines ADD COLUMN lasting INTEGER NOT NULL DEFAULT 0;

CREATE TABLE drains (
    uuid TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    user TEXT NOT NULL,
    at REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- The GPU instances that the launcher made itself, as long as they stand.
CREATE TABLE made (
    gpu_uuid TEXT NOT NULL,
    gi INTEGER NOT NULL,
    profile_id INTEGER NOT NULL,
    start INTEGER NOT NULL,
    PRIMARY KEY (gpu_uuid, gi)
) STRICT, WITHOUT ROWID;

-- Every change of the layout: who, when, what, and what came of it. `document` has the steps.
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

-- One change at a time, whatever the program thinks.
CREATE UNIQUE INDEX one_open_layout ON layouts ((1)) WHERE state <> 'done';
