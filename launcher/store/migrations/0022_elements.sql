-- The counts of an array, and the ids of one page of its elements, come from this index alone.
DROP INDEX jobs_by_array;
CREATE INDEX jobs_by_array ON jobs (array_id, state, outcome) WHERE array_id IS NOT NULL;
