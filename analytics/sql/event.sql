-- The lake's rows as they were written. {{.Files}} are the files of one
-- snapshot; there is at least one.
CREATE OR REPLACE VIEW event AS
SELECT event_token, payment_token, target_token, person_token,
       source, kind, service_type, amount_yen, active,
       occurred_local, occurred_on, shop_id, industry, shop_area,
       sex, age_band, home_area
FROM read_parquet({{.Files}}, hive_partitioning = false, union_by_name = true)
