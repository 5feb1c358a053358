-- What an attempt used of the machine; NULL where that is unknown.
ALTER TABLE attempts ADD COLUMN memory_peak_bytes INTEGER;
ALTER TABLE attempts ADD COLUMN cpu_seconds REAL;
ALTER TABLE attempts ADD COLUMN read_bytes INTEGER;
ALTER TABLE attempts ADD COLUMN written_bytes INTEGER;
ALTER TABLE attempts ADD COLUMN gpu_memory_peak_mib INTEGER;
ALTER TABLE attempts ADD COLUMN gpu_activity_percent REAL;
