, person AS (
  SELECT {{.Dims}} person_token, count(DISTINCT (shop, occurred_on)) AS visits, min(occurred_on) AS first_on,
         any_value(operator) AS operator
  FROM scope WHERE person_token IS NOT NULL
  GROUP BY ALL
)
SELECT {{.Dims}} sum(visits) / count(*), 30.0 * sum(visits) / sum(q.to_on - first_on + 1),
       count(*) AS persons, count(DISTINCT operator) AS shops
FROM person, q
{{.Group}}
