SELECT (SELECT COUNT(*) FROM ingest_segments WHERE row_count = 0) = 0
