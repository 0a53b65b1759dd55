-- Which are a source's shops, from an ID on?
SELECT source, shop_id, name, merchant, operator, industry, area
FROM ingest_shops
WHERE source = $1 AND shop_id > $2
ORDER BY shop_id
LIMIT $3
