-- The lake's rows but for those that are held back.
CREATE OR REPLACE VIEW event AS
SELECT event_token, payment_token, target_token, person_token,
       source, kind, service_type, amount_yen, active,
       occurred_local, occurred_on, shop_id, industry, shop_area,
       sex, age_band, home_area
FROM read_parquet({{.Files}}, hive_partitioning = false) ANTI JOIN held USING (event_token)
