-- Which accounts does an owner have?
SELECT id, programme, kind, owner, closed, debits, credits, version
FROM accounts WHERE owner = $1 ORDER BY id
