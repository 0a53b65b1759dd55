-- Charge for an answer, and keep it, in one row.
INSERT INTO budget_entries (recipient, seq, kind, cost, delta, fingerprint, answer, at, previous, hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
