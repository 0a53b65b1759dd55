-- Enter settlements, a JSON list, or replace those that differ.
INSERT INTO ingest_settlements (source, shop_id, service_id, first_day, last_day, amount_yen, fee_yen, net_yen)
SELECT value ->> 'source', value ->> 'shop_id', value ->> 'service_id', value ->> 'from', value ->> 'to',
	CAST(value ->> 'amount_yen' AS BIGINT), CAST(value ->> 'fee_yen' AS BIGINT), CAST(value ->> 'net_yen' AS BIGINT)
FROM json_array_elements(CAST($1 AS JSON)) AS list(value)
ON CONFLICT (source, shop_id, service_id, first_day, last_day) DO UPDATE SET
	amount_yen = excluded.amount_yen, fee_yen = excluded.fee_yen, net_yen = excluded.net_yen
WHERE (ingest_settlements.amount_yen, ingest_settlements.fee_yen, ingest_settlements.net_yen)
	<> (excluded.amount_yen, excluded.fee_yen, excluded.net_yen)
