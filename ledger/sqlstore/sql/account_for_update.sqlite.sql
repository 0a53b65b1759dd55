-- An account, while the batch holds the database's one write lock.
SELECT id, programme, kind, owner, closed, debits, credits, version
FROM accounts WHERE id = $1
