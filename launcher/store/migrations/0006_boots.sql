-- The kernel's boot id when an attempt was granted or seen to start; NULL where that is not known.
ALTER TABLE attempts ADD COLUMN boot TEXT;
