-- Takes a grant back, once.
UPDATE analyst_grants SET revoked_at = $1 WHERE id = $2 AND revoked_at = 0
