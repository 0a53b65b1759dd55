-- Empties what is known of a resident. The number stays: postings name it.
UPDATE residents
SET name = '', phone = '', born_on = '', sex = 'unknown', area = '', consent_id = '', erased_at = $1
WHERE id = $2 AND erased_at = 0
