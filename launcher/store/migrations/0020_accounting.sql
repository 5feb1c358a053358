-- The use of deleted jobs, by day (UTC), as `launch usage` sums it: slice-seconds and slice-GiB-seconds
-- from grant to release, or slot-seconds of CPU jobs. `jobs` counts the jobs that ended on that day,
-- `waits` is a histogram of their waiting times: {"seconds": jobs}.
CREATE TABLE usage_new (
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

INSERT INTO usage_new
SELECT day, uid, -1, profile, image, '(unknown)', outcome, '', user, jobs, seconds, 0.0, '{}' FROM usage;
DROP TABLE usage;
ALTER TABLE usage_new RENAME TO usage;

-- The slices of the machine from a time on (seconds since 1970): {"profile": [slices, MiB together]}.
CREATE TABLE capacity (
    seq INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    slices TEXT NOT NULL
) STRICT;

CREATE TRIGGER capacity_is_bounded AFTER INSERT ON capacity
BEGIN
    DELETE FROM capacity WHERE seq <= NEW.seq - 100000;
END;

-- The last events that users follow, as `data` JSON; `uid` is the owner of a job or array.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    type TEXT NOT NULL,
    uid INTEGER,
    user TEXT,
    data TEXT NOT NULL
) STRICT;

CREATE TRIGGER events_are_bounded AFTER INSERT ON events
BEGIN
    DELETE FROM events WHERE seq <= NEW.seq - 100000;
END;

-- The images that the launcher pulled, with their last use: they may be removed for space.
CREATE TABLE pulled_images (
    image_id TEXT PRIMARY KEY,
    reference TEXT NOT NULL,
    uid INTEGER NOT NULL,
    user TEXT NOT NULL,
    pulled_at REAL NOT NULL,
    used_at REAL NOT NULL,
    used_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
