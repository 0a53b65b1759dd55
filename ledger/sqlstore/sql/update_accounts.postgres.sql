-- Sets the counters of the accounts that a batch touched.
UPDATE accounts SET debits = x.debits, credits = x.credits, version = x.version
FROM json_to_recordset(CAST($1 AS json)) AS x(id text, debits bigint, credits bigint, version bigint)
WHERE accounts.id = x.id
