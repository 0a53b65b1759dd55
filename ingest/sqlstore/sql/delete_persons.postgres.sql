-- Delete persons, a JSON list.
DELETE FROM ingest_persons
WHERE (source, person_id) IN (SELECT value ->> 'source', value ->> 'id' FROM json_array_elements(CAST($1 AS JSON)) AS list(value))
