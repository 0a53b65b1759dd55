-- One row per payment: what a person did once at a shop. A combined payment
-- (併用決済) has several rows in the lake and one here. A payment is live when
-- a part of it stands that was not cancelled. Columns that a table can be cut
-- by bear the names of the cuts.
--
-- The operator is who runs the shop: several shops of one operator are one
-- respondent. It is what was said of the shop last, for all its payments; of a
-- shop of which nothing was said it is the shop itself.
--
-- Nearly all payments have one row, which bears the token of the whole. They
-- are taken as they are, since grouping them costs twice as much.
CREATE OR REPLACE TABLE operated AS
SELECT shop_id AS shop, coalesce(max_by(operator, (occurred_local, operator)) FILTER (operator <> ''), shop_id) AS operator
FROM event GROUP BY shop_id;

CREATE OR REPLACE TABLE paid AS
WITH cancelled AS (
  SELECT DISTINCT target_token FROM event WHERE kind = 'cancel'
), part AS (
  SELECT e.payment_token, e.event_token = e.payment_token AS whole, e.person_token, e.shop_id AS shop, e.industry,
         e.shop_area, e.sex, e.age_band, e.home_area AS area, e.occurred_on, e.occurred_local, e.amount_yen
  FROM event e ANTI JOIN cancelled c ON c.target_token = e.event_token
  WHERE e.kind = 'pay' AND e.active
), several AS (
  SELECT DISTINCT payment_token FROM part WHERE NOT whole
), live AS (
  SELECT p.person_token, p.shop, p.industry, p.shop_area, p.sex, p.age_band, p.area,
         p.occurred_on, CAST(hour(p.occurred_local) AS TINYINT) AS at_hour, p.amount_yen AS net_yen
  FROM part p ANTI JOIN several s USING (payment_token)
  UNION ALL
  SELECT any_value(p.person_token), any_value(p.shop), any_value(p.industry), any_value(p.shop_area),
         any_value(p.sex), any_value(p.age_band), any_value(p.area),
         min(p.occurred_on), CAST(hour(min(p.occurred_local)) AS TINYINT), CAST(sum(p.amount_yen) AS BIGINT)
  FROM part p SEMI JOIN several s USING (payment_token)
  GROUP BY p.payment_token
)
SELECT live.*, coalesce(operator, shop) AS operator FROM live LEFT JOIN operated USING (shop);

-- Cuts by time are made when they are asked for.
CREATE OR REPLACE VIEW payment AS
SELECT *,
       strftime(occurred_on, '%Y-%m')                           AS month,
       strftime(date_trunc('week', occurred_on), '%Y-%m-%d')    AS week,
       strftime(occurred_on, '%Y-%m-%d')                        AS day,
       CAST(isodow(occurred_on) AS VARCHAR)                     AS weekday,
       lpad(CAST(at_hour AS VARCHAR), 2, '0')                   AS hour
FROM paid
