INSERT INTO releases (number, released_at, audience, reader, rules, metric, from_on, to_on, cut, snapshot, cell_count, hidden_count, frozen, hash, chain, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
