-- Finds a user's last job, and a user's jobs in a range, without reading the jobs of others.
CREATE INDEX jobs_by_user ON jobs (uid);
