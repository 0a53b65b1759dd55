-- Which number does the next segment have? Numbers are never used again.
SELECT COALESCE(MAX(number), 0) + 1 FROM ingest_segments
