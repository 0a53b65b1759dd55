-- All client programs, by ID.
SELECT id, token_digest, scopes FROM clients ORDER BY id
