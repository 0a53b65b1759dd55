-- What was corrected of persons, in order?
SELECT number, source, person_id, field, old_value, new_value, request, reason, corrected_at, corrected_by
FROM ingest_corrections
ORDER BY number
