-- Every movement of sales on its own day: payments, and what takes them back.
CREATE OR REPLACE VIEW movement AS
SELECT payment_token, person_token, shop_id AS shop, coalesce(operated.operator, shop_id) AS operator, industry, shop_area, sex, age_band, home_area AS area,
       occurred_on, kind, amount_yen,
       strftime(occurred_on, '%Y-%m')                           AS month,
       strftime(date_trunc('week', occurred_on), '%Y-%m-%d')    AS week,
       strftime(occurred_on, '%Y-%m-%d')                        AS day,
       CAST(isodow(occurred_on) AS VARCHAR)                     AS weekday,
       lpad(CAST(hour(occurred_local) AS VARCHAR), 2, '0')      AS hour
FROM event LEFT JOIN operated ON operated.shop = event.shop_id
WHERE kind IN ('pay', 'cancel', 'refund', 'adjustment')
