-- Requests and decisions: rows are added and never changed. Repeated refusals are one row with a
-- count, from `at` to `until` (seconds since 1970).
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

CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;

-- The exception: only the last 100,000 rows of each user are stored. So a user can neither fill the
-- disk nor push out the rows of others.
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
WHEN OLD.nth > (SELECT MAX(nth) FROM audit WHERE uid = OLD.uid) - 100000
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;

CREATE TRIGGER audit_is_bounded AFTER INSERT ON audit
BEGIN
    DELETE FROM audit WHERE uid = NEW.uid AND nth <= NEW.nth - 100000;
END;
