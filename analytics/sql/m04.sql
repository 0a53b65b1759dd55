, visit AS (
  SELECT {{.Dims}} person_token, shop AS at_shop, any_value(operator) AS operator, occurred_on, sum(net_yen) AS yen, count(*) AS payments
  FROM scope WHERE person_token IS NOT NULL
  GROUP BY ALL
)
SELECT {{.Dims}} avg(yen), sum(yen) / sum(payments), median(yen), quantile_cont(yen, 0.25), quantile_cont(yen, 0.75),
       count(DISTINCT person_token) AS persons, count(DISTINCT operator) AS shops
FROM visit
{{.Group}}
