-- Delete the links from and to persons, a JSON list.
DELETE FROM ingest_links
WHERE (source, person_id) IN (SELECT value ->> 'source', value ->> 'id' FROM json_each($1))
	OR (to_source, to_id) IN (SELECT value ->> 'source', value ->> 'id' FROM json_each($1))
