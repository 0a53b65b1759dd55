-- The accounts of a list, while the batch holds the one write lock.
SELECT id, programme, kind, owner, closed, debits, credits, version
FROM accounts WHERE id IN (SELECT value FROM json_each($1)) ORDER BY id
