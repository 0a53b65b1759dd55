-- Who is linked to whom?
SELECT number, source, person_id, to_source, to_id, linked_at, linked_by
FROM ingest_links
ORDER BY number
