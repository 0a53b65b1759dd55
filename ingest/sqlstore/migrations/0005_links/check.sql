SELECT (SELECT COUNT(*) FROM ingest_links) = 0
