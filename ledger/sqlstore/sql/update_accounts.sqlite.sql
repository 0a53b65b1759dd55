-- Sets the counters of the accounts that a batch touched.
UPDATE accounts SET debits = x.debits, credits = x.credits, version = x.version
FROM (
  SELECT value ->> '$.id' AS id, value ->> '$.debits' AS debits, value ->> '$.credits' AS credits, value ->> '$.version' AS version
  FROM json_each($1)
) AS x
WHERE accounts.id = x.id
