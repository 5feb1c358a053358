-- The kernel's boot id when an attempt was granted or observed to start; NULL if unknown.
ALTER TABLE attempts ADD COLUMN boot TEXT;
