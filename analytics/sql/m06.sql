, seen AS (
  SELECT {{.Key}}, min(occurred_on) AS first_on FROM counted WHERE person_token IS NOT NULL GROUP BY ALL
), person AS (
  SELECT {{.Dims}} person_token, bool_or(first_on < {{.PeriodStart}}) AS before, any_value(operator) AS operator
  FROM scope JOIN seen USING ({{.Key}}), q
  GROUP BY ALL
)
SELECT {{.Dims}} count(*) FILTER (NOT before), count(*) FILTER (before),
       least(count(*), coalesce(nullif(count(*) FILTER (NOT before), 0), count(*)), coalesce(nullif(count(*) FILTER (before), 0), count(*))) AS persons, count(DISTINCT operator) AS shops
FROM person
{{.Group}}
