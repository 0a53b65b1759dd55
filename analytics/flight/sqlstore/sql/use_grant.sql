-- Counts what is about to leave, if the grant has so much left.
UPDATE analyst_grants SET used_rows = used_rows + $1, used_bytes = used_bytes + $2
WHERE id = $3 AND used_rows + $1 <= most_rows AND used_bytes + $2 <= most_bytes
