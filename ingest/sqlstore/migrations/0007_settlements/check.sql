SELECT (SELECT COUNT(*) FROM ingest_settlements) = 0
