-- Whether a job's container reads what a client sends: such jobs have limits of their own.
ALTER TABLE jobs ADD COLUMN interactive INTEGER;
-- Whether its container has ports that are forwarded.
ALTER TABLE jobs ADD COLUMN has_ports INTEGER;
