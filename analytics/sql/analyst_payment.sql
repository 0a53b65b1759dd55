-- One row per payment that stands, for an analyst: the same payments as in
-- payment.sql. The rows are named inside, so that a session which was not
-- granted event has no way to them.
CREATE VIEW payment AS
WITH event AS ({{template "analyst_rows.sql" .}}), cancelled AS (
  SELECT DISTINCT target_token FROM event WHERE kind = 'cancel'
), part AS (
  SELECT e.* FROM event e ANTI JOIN cancelled c ON c.target_token = e.event_token
  WHERE e.kind = 'pay' AND e.active
)
SELECT payment_token, any_value(person_token) AS person_token, any_value(shop_id) AS shop,
       any_value(industry) AS industry, any_value(shop_area) AS shop_area, any_value(sex) AS sex,
       any_value(age_band) AS age_band, any_value(home_area) AS area,
       min(occurred_on) AS occurred_on, min(occurred_local) AS occurred_local, CAST(sum(amount_yen) AS BIGINT) AS net_yen
FROM part GROUP BY payment_token
