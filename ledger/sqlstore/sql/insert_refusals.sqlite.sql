-- Keeps a refusal.
INSERT INTO refusals (id, request, code, kind, actor, refused_at)
VALUES ($1, $2, $3, $4, $5, $6)
