-- The log after a number, of one grant or of all.
SELECT number, at, kind, grant_id, who, basis, purpose, session_id, statement_id, statement, parameters,
       snapshot, row_count, byte_count, took_us, outcome, client, recipient, file, sha256
FROM analyst_log WHERE number > $1 AND (grant_id = $2 OR $2 = '')
ORDER BY number LIMIT $3
