-- One row per visit (来店): a person at a shop on a day, whatever was paid and how
-- often. Rows of a combined payment (併用決済) are one payment; what was cancelled,
-- or marked as cancelled by its source, is taken off; payments of unknown persons
-- are no visits. The rows come from a table or view named payments. The text
-- runs in DuckDB and Spark as it stands.
SELECT person_token, shop, max(industry) AS industry, max(shop_area) AS shop_area, max(sex) AS sex,
       max(age_band) AS age_band, max(area) AS area, occurred_on, min(occurred_local) AS occurred_local,
       count(*) AS payments, CAST(sum(net_yen) AS BIGINT) AS net_yen
FROM (
  SELECT max(p.person_token) AS person_token, max(p.shop_id) AS shop, max(p.industry) AS industry,
         max(p.shop_area) AS shop_area, max(p.sex) AS sex, max(p.age_band) AS age_band, max(p.home_area) AS area,
         min(p.occurred_on) AS occurred_on, min(p.occurred_local) AS occurred_local, sum(p.amount_yen) AS net_yen
  FROM payments p
  WHERE p.kind = 'pay' AND p.active
    AND NOT EXISTS (SELECT 1 FROM payments c WHERE c.kind = 'cancel' AND c.target_token = p.event_token)
  GROUP BY p.payment_token
) AS paid
WHERE person_token IS NOT NULL
GROUP BY person_token, shop, occurred_on
