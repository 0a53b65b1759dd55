SELECT number, released_at, audience, reader, rules, metric, from_on, to_on, cut, snapshot, cell_count, hidden_count, frozen, hash, chain, body
FROM releases ORDER BY number
