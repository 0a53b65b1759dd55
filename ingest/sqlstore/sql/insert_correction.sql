-- Add a correction.
INSERT INTO ingest_corrections (number, source, person_id, field, old_value, new_value, request, reason, corrected_at, corrected_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
