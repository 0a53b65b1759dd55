-- One line more.
INSERT INTO analyst_log (
       at, kind, grant_id, who, basis, purpose, session_id, statement_id, statement, parameters,
       snapshot, row_count, byte_count, took_us, outcome, client, recipient, file, sha256)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
