-- A page of accounts, by ID.
SELECT id, programme, kind, owner, closed, debits, credits, version
FROM accounts WHERE id > $1 ORDER BY id LIMIT $2
