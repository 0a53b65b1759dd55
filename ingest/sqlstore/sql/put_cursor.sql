-- Keep how far a source was read.
INSERT INTO ingest_cursors (source, position) VALUES ($1, $2)
ON CONFLICT (source) DO UPDATE SET position = excluded.position
