-- Who are a source's persons, from an ID on?
SELECT source, person_id, sex, born_on, area, consent_id, test
FROM ingest_persons
WHERE source = $1 AND person_id > $2
ORDER BY person_id
LIMIT $3
