-- A user's last job, and a user's jobs in a range, are found without reading everybody's.
CREATE INDEX jobs_by_user ON jobs (uid);
