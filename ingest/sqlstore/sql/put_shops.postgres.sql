-- Enter shops, a JSON list, or replace those that differ.
INSERT INTO ingest_shops (source, shop_id, name, merchant, operator, industry, area)
SELECT value ->> 'source', value ->> 'id', value ->> 'name', value ->> 'merchant', value ->> 'operator', value ->> 'industry', value ->> 'area'
FROM json_array_elements(CAST($1 AS JSON)) AS list(value)
ON CONFLICT (source, shop_id) DO UPDATE SET
	name = excluded.name, merchant = excluded.merchant, operator = excluded.operator, industry = excluded.industry, area = excluded.area
WHERE (ingest_shops.name, ingest_shops.merchant, ingest_shops.operator, ingest_shops.industry, ingest_shops.area)
	<> (excluded.name, excluded.merchant, excluded.operator, excluded.industry, excluded.area)
