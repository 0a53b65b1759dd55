-- Enter persons, a JSON list, or replace those that differ.
INSERT INTO ingest_persons (source, person_id, sex, born_on, area, consent_id, test)
SELECT value ->> 'source', value ->> 'id', COALESCE(NULLIF(value ->> 'sex', ''), 'unknown'), value ->> 'born_on',
	value ->> 'area', value ->> 'consent_id', CAST(value ->> 'test' AS BOOLEAN)
FROM json_array_elements(CAST($1 AS JSON)) AS list(value)
ON CONFLICT (source, person_id) DO UPDATE SET
	sex = excluded.sex, born_on = excluded.born_on, area = excluded.area,
	consent_id = excluded.consent_id, test = excluded.test
WHERE (ingest_persons.sex, ingest_persons.born_on, ingest_persons.area, ingest_persons.consent_id, ingest_persons.test)
	<> (excluded.sex, excluded.born_on, excluded.area, excluded.consent_id, excluded.test)
