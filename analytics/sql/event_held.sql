-- The lake's rows but for those that are held back.
CREATE OR REPLACE VIEW event AS
SELECT event_token, payment_token, target_token, person_token,
       source, kind, service_type, amount_yen, active,
       occurred_local, occurred_on, shop_id, coalesce(operator, '') AS operator, industry, shop_area,
       sex, age_band, home_area
FROM (
  SELECT * FROM read_parquet({{.Files}}, hive_partitioning = false, union_by_name = true)
  UNION ALL BY NAME SELECT '' AS operator WHERE false
) ANTI JOIN held USING (event_token)
