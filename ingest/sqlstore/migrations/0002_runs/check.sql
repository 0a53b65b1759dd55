SELECT (SELECT COUNT(*) FROM ingest_runs) = 0
