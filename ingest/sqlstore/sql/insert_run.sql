-- Register a run of identities.
INSERT INTO ingest_runs (file, entry_count, byte_count)
VALUES ($1, $2, $3)
