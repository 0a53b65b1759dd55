-- Moves the end of the ledger, unless somebody else has.
UPDATE ledger_head SET epoch = $1, writer = $2, batch = $3, accounts = $4, last_seq = $5, last_at = $6, seal = $7
WHERE batch = $8 AND epoch = $9
