-- Makes an account unless there is one of that ID.
INSERT INTO accounts (id, programme, kind, owner, closed, debits, credits, version)
VALUES ($1, $2, $3, $4, $5, 0, 0, 0)
ON CONFLICT (id) DO NOTHING
