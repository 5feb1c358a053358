-- What keeps a pending job out of the queue: a hold, a time, other jobs.
ALTER TABLE jobs ADD COLUMN held TEXT;
ALTER TABLE jobs ADD COLUMN begin_at REAL;
ALTER TABLE jobs ADD COLUMN waits_for TEXT NOT NULL DEFAULT '[]';
UPDATE jobs SET held = reason WHERE state = 'PENDING' AND reason = 'NeverStarted';
