SELECT (SELECT COUNT(*) FROM ingest_seen) = 0 AND (SELECT COUNT(*) FROM ingest_segments) = 0
