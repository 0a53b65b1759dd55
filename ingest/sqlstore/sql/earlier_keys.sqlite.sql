-- Which of the packed entries did an earlier segment enter, and with what
-- content?
WITH RECURSIVE entry(i) AS (
	SELECT 0
	UNION ALL
	SELECT i + 1 FROM entry WHERE i + 1 < $1
)
SELECT entry.i, seen.content
FROM entry CROSS JOIN ingest_seen AS seen ON seen.record_key = substr($2, entry.i * 24 + 1, 16)
WHERE seen.segment <> $3
ORDER BY entry.i
