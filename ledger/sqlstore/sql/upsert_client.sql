-- Adds a client program, or replaces one of the same ID.
INSERT INTO clients (id, token_digest, scopes) VALUES ($1, $2, $3)
ON CONFLICT (id) DO UPDATE SET token_digest = EXCLUDED.token_digest, scopes = EXCLUDED.scopes
