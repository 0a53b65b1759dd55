SELECT number, chain FROM releases ORDER BY number DESC LIMIT 1
