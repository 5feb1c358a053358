-- The request of an array, stored once, and the keys of its matrix as a JSON list. An element keeps
-- its values in `params` and has an empty `spec`. NULL in older rows: their elements have specs.
ALTER TABLE arrays ADD COLUMN template TEXT;
ALTER TABLE arrays ADD COLUMN keys TEXT;

-- The approximate memory of a job that its owner controls; an element has a share of its array's
-- template. NULL in older rows.
ALTER TABLE jobs ADD COLUMN kept_bytes INTEGER;
