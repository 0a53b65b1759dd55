-- Which imports were there last?
SELECT import_id, source, file, started_at, finished_at, rows_read, rows_accepted, rows_duplicate, rows_quarantined,
	byte_count, dataset, continues, ahead_us
FROM ingest_imports
ORDER BY started_at DESC, import_id DESC
LIMIT $1
