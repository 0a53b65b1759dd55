-- What does a contract say?
SELECT id, reader, client, terms, created_at, ended_at FROM recipient_contracts WHERE id = $1
