-- Put a segment's new file in the place of the old one.
UPDATE ingest_segments
SET file = $1, row_count = $2, amount_yen = $3, first_at = $4, last_at = $5, byte_count = $6
WHERE number = $7 AND file = $8
