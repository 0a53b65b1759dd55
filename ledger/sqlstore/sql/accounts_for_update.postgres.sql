-- The accounts of a list, locked in the order of their IDs until the batch commits.
SELECT id, programme, kind, owner, closed, debits, credits, version
FROM accounts WHERE id IN (SELECT json_array_elements_text(CAST($1 AS json))) ORDER BY id FOR UPDATE
