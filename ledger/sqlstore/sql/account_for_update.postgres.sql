-- An account, locked until the batch commits.
SELECT id, programme, kind, owner, closed, debits, credits, version
FROM accounts WHERE id = $1 FOR UPDATE
