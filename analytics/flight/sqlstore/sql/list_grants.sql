-- Every grant there ever was, the oldest first.
SELECT id, name, organisation, basis, purpose, tables, token_digest, created_at, begins_at, ends_at, revoked_at,
       most_rows, most_bytes, used_rows, used_bytes
FROM analyst_grants ORDER BY created_at, id
