-- One line more.
INSERT INTO recipient_log (
       at, contract_id, client, purpose, operation, metric, cut, from_on, to_on, format,
       release_hash, byte_count, outcome, table_name)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
