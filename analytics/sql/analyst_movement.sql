-- Every movement of sales on its own day, for an analyst.
CREATE VIEW movement AS
WITH event AS ({{template "analyst_rows.sql" .}})
SELECT payment_token, person_token, shop_id AS shop, industry, shop_area, sex, age_band, home_area AS area,
       occurred_on, kind, amount_yen
FROM event
WHERE kind IN ('pay', 'cancel', 'refund', 'adjustment')
