-- Enter the keys that are new. The entries come packed in one value, 24 bytes
-- each (16 of key, 8 of content), $1 of them, which spares a binding per row.
INSERT INTO ingest_seen (record_key, content, segment)
SELECT substr(p.packed, i * 24 + 1, 16), substr(p.packed, i * 24 + 17, 8), p.segment
FROM generate_series(0, CAST($1 AS INTEGER) - 1) AS entry(i),
	(SELECT CAST($2 AS BYTEA) AS packed, CAST($3 AS BIGINT) AS segment) AS p
ON CONFLICT (record_key) DO NOTHING
