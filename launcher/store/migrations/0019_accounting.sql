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
    at REAL PRIMARY KEY,
    slices TEXT NOT NULL
) STRICT;

CREATE TRIGGER capacity_is_bounded AFTER INSERT ON capacity
BEGIN
    DELETE FROM capacity WHERE at < (SELECT at FROM capacity ORDER BY at DESC LIMIT 1 OFFSET 99999);
END;
