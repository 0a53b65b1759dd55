SELECT (SELECT COUNT(*) FROM ingest_corrections) = 0
