INSERT INTO consent_log (number, entered_at, book, kind, ref, source, person, keep_until, body, hash, chain)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
