-- Delete the corrections of persons, a JSON list, and those that name one as whom another is.
DELETE FROM ingest_corrections
WHERE (source, person_id) IN (SELECT value ->> 'source', value ->> 'id' FROM json_array_elements(CAST($1 AS JSON)) AS list(value))
	OR field = 'link' AND EXISTS (SELECT 1 FROM json_array_elements(CAST($1 AS JSON)) AS list(value)
		WHERE (value ->> 'source') || chr(31) || (value ->> 'id') IN (old_value, new_value))
