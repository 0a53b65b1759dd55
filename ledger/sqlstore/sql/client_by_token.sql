-- Whose token has this digest?
SELECT id, token_digest, scopes FROM clients WHERE token_digest = $1
