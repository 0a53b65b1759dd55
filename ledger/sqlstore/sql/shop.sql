-- One shop.
SELECT id, name, merchant, operator, industry, area, joined_at FROM shops WHERE id = $1
