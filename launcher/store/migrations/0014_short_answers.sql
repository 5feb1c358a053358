-- How many jobs ended how is counted without reading the jobs, and a user's jobs of a name are found
-- without reading those of others.
CREATE INDEX jobs_ended ON jobs (state, outcome) WHERE state = 'DONE';
DROP INDEX jobs_by_name;
CREATE INDEX jobs_by_name ON jobs (name, uid);
