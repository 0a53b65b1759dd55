-- Keeps a refusal, unless its ID was posted before.
INSERT INTO refusals (id, request, code, kind, actor, refused_at)
SELECT $1, $2, $3, $4, $5, $6
WHERE NOT EXISTS (SELECT 1 FROM transfers WHERE id = $1 AND position = 0) AND NOT EXISTS (SELECT 1 FROM closes WHERE id = $1)
