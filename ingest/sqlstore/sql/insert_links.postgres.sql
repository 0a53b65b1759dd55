-- Add links, a JSON list.
INSERT INTO ingest_links (number, source, person_id, to_source, to_id, linked_at, linked_by)
SELECT CAST(value ->> 'number' AS BIGINT), value ->> 'source', value ->> 'person_id', value ->> 'to_source', value ->> 'to_id',
	CAST($1 AS BIGINT), CAST($2 AS TEXT)
FROM json_array_elements(CAST($3 AS JSON)) AS list(value)
