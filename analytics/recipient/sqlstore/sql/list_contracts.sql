-- Which contracts are there, of one client or of all?
SELECT id, reader, client, terms, created_at, ended_at FROM recipient_contracts
WHERE client = $1 OR $1 = ''
ORDER BY begins_at, id
