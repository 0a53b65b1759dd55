-- One shop.
SELECT id, name, merchant, industry, area, joined_at FROM shops WHERE id = $1
