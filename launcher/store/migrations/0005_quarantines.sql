-- Since when, in seconds since 1970; unknown for what an older version wrote.
ALTER TABLE quarantines ADD COLUMN since REAL;
