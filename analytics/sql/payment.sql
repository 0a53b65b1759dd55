-- One row per payment: what a person did once at a shop. A combined payment
-- (併用決済) has several rows in the lake and one here. A payment is live when
-- a part of it stands that was not cancelled. Columns that a table can be cut
-- by bear the names of the cuts.
CREATE OR REPLACE TABLE payment AS
WITH cancelled AS (
  SELECT DISTINCT target_token FROM event WHERE kind = 'cancel'
), part AS (
  SELECT e.*, e.active AND c.target_token IS NULL AS stands
  FROM event e LEFT JOIN cancelled c ON c.target_token = e.event_token
  WHERE e.kind = 'pay'
), whole AS (
  SELECT payment_token,
         any_value(person_token)                                AS person_token,
         any_value(shop_id)                                     AS shop,
         any_value(industry)                                    AS industry,
         any_value(shop_area)                                   AS shop_area,
         any_value(sex)                                         AS sex,
         any_value(age_band)                                    AS age_band,
         any_value(home_area)                                   AS area,
         min(occurred_on)                                       AS occurred_on,
         min(occurred_local)                                    AS occurred_local,
         CAST(coalesce(sum(amount_yen) FILTER (stands), 0) AS BIGINT) AS net_yen
  FROM part
  GROUP BY payment_token
  HAVING bool_or(stands)
)
SELECT * EXCLUDE (payment_token, occurred_local),
       strftime(occurred_on, '%Y-%m')                           AS month,
       strftime(date_trunc('week', occurred_on), '%Y-%m-%d')    AS week,
       strftime(occurred_on, '%Y-%m-%d')                        AS day,
       CAST(isodow(occurred_on) AS VARCHAR)                     AS weekday,
       lpad(CAST(hour(occurred_local) AS VARCHAR), 2, '0')      AS hour
FROM whole
