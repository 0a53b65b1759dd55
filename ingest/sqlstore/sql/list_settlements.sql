-- What did providers say that they pay, by source, shop and period?
SELECT source, shop_id, service_id, first_day, last_day, amount_yen, fee_yen, net_yen
FROM ingest_settlements
ORDER BY source, shop_id, first_day, last_day, service_id
