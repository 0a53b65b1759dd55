-- Keep how far a file was read.
INSERT INTO ingest_checkpoints (source, file, import_id, layout, position, hash, line, row_count, pending, days)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (source, file) DO UPDATE SET
	import_id = excluded.import_id, layout = excluded.layout, position = excluded.position, hash = excluded.hash,
	line = excluded.line, row_count = excluded.row_count, pending = excluded.pending, days = excluded.days
