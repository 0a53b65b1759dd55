-- Add links, a JSON list.
INSERT INTO ingest_links (number, source, person_id, to_source, to_id, linked_at, linked_by)
SELECT value ->> 'number', value ->> 'source', value ->> 'person_id', value ->> 'to_source', value ->> 'to_id', $1, $2
FROM json_each($3)
