-- Since when, in seconds since 1970; NULL in older rows.
ALTER TABLE quarantines ADD COLUMN since REAL;
