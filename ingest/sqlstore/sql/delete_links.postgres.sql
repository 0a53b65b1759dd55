-- Delete the links from and to persons, a JSON list.
DELETE FROM ingest_links
WHERE (source, person_id) IN (SELECT value ->> 'source', value ->> 'id' FROM json_array_elements(CAST($1 AS JSON)) AS list(value))
	OR (to_source, to_id) IN (SELECT value ->> 'source', value ->> 'id' FROM json_array_elements(CAST($1 AS JSON)) AS list(value))
