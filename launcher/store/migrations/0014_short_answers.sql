-- Counts ended jobs by outcome without reading the jobs, and finds a user's jobs of a name without
-- reading those of others.
CREATE INDEX jobs_ended ON jobs (state, outcome) WHERE state = 'DONE';
DROP INDEX jobs_by_name;
CREATE INDEX jobs_by_name ON jobs (name, uid);
