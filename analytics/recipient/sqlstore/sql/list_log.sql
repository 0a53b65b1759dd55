-- The log after a number, of one contract or of all.
SELECT number, at, contract_id, client, purpose, operation, metric, cut, from_on, to_on, format,
       release_hash, byte_count, outcome
FROM recipient_log WHERE number > $1 AND (contract_id = $2 OR $2 = '')
ORDER BY number LIMIT $3
