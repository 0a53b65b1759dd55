-- Which of the packed entries did an earlier segment enter, and with what
-- content? LIMIT makes the planner look each key up by the index, even while
-- it has no statistics.
SELECT entry.i, seen.content
FROM (SELECT i, substr(p.packed, i * 24 + 1, 16) AS record_key, p.segment
	FROM generate_series(0, CAST($1 AS INTEGER) - 1) AS series(i),
		(SELECT CAST($2 AS BYTEA) AS packed, CAST($3 AS BIGINT) AS segment) AS p) AS entry
CROSS JOIN LATERAL (
	SELECT s.content, s.segment FROM ingest_seen AS s WHERE s.record_key = entry.record_key LIMIT 1) AS seen
WHERE seen.segment <> entry.segment
ORDER BY entry.i
