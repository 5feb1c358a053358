-- The version of the policy under which a job was queued; NULL in older rows.
ALTER TABLE jobs ADD COLUMN policy_version INTEGER;
