-- The file was read to its end.
DELETE FROM ingest_checkpoints WHERE source = $1 AND file = $2
