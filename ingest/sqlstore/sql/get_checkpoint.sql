-- How far was the file read?
SELECT import_id, layout, position, hash, line, row_count, pending, days
FROM ingest_checkpoints
WHERE source = $1 AND file = $2
