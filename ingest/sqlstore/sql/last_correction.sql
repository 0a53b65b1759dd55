-- What is the last correction's number?
SELECT COALESCE(MAX(number), 0) FROM ingest_corrections
