-- What stands on an account?
SELECT id, programme, kind, owner, closed, debits, credits, version
FROM accounts WHERE id = $1
