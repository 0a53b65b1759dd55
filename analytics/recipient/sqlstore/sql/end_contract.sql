-- End a contract, once.
UPDATE recipient_contracts SET ended_at = $1 WHERE id = $2 AND ended_at = 0
