-- Whether a live attempt is killed without a grace period: a confirmed cancel survives a crash.
ALTER TABLE jobs ADD COLUMN kill_now INTEGER;
