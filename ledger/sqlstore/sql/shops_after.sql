-- A page of shops, by ID.
SELECT id, name, merchant, operator, industry, area, joined_at FROM shops WHERE id > $1 ORDER BY id LIMIT $2
