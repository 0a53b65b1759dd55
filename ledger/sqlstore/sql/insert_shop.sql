-- Registers a shop unless the ID is taken. Who runs it may be told later, once.
INSERT INTO shops (id, name, merchant, operator, industry, area, joined_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO UPDATE SET operator = excluded.operator WHERE shops.operator = ''
