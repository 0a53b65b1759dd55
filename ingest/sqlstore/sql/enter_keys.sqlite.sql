-- Enter the keys that are new. The entries come packed in one value, 24 bytes
-- each (16 of key, 8 of content), $1 of them, which spares a binding per row.
WITH RECURSIVE entry(i) AS (
	SELECT 0
	UNION ALL
	SELECT i + 1 FROM entry WHERE i + 1 < $1
)
INSERT INTO ingest_seen (record_key, content, segment)
SELECT substr($2, i * 24 + 1, 16), substr($2, i * 24 + 17, 8), $3 FROM entry WHERE true
ON CONFLICT (record_key) DO NOTHING
