-- The version of the policy under which a job was queued; of jobs of before nobody knows it.
ALTER TABLE jobs ADD COLUMN policy_version INTEGER;
