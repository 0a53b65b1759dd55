-- A new grant.
INSERT INTO analyst_grants (id, name, organisation, basis, purpose, tables, token_digest, created_at, begins_at, ends_at, revoked_at, most_rows, most_bytes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
