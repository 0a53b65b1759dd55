-- The beginning of every question: q is the query, counted all payments that
-- count whenever they were, scope those of the window.
WITH q AS (
  SELECT CAST($1 AS DATE) AS from_on, CAST($2 AS DATE) AS to_on, CAST($3 AS VARCHAR) AS only_shop,
         CAST($4 AS VARCHAR) AS visit_unit, CAST($5 AS BOOLEAN) AS zero_yen, CAST($6 AS DATE) AS seen_to
), counted AS (
  SELECT p.*{{template "regions.sql" .}} FROM payment p, q
  WHERE (p.net_yen > 0 OR q.zero_yen) AND (q.only_shop = '' OR p.shop = q.only_shop)
), scope AS (
  SELECT c.* FROM counted c, q WHERE c.occurred_on BETWEEN q.from_on AND q.to_on
)
