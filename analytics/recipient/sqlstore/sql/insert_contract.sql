-- Enter a contract.
INSERT INTO recipient_contracts (id, reader, client, begins_at, terms_end_at, terms, created_at, ended_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
