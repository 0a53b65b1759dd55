-- How far was the source read?
SELECT position FROM ingest_cursors WHERE source = $1
