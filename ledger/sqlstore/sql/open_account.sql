-- Opens an account unless there is one of that ID.
INSERT INTO accounts (number, id, programme, kind, owner, period, funding, rank, expires_at, limit_yen)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (id) DO NOTHING
