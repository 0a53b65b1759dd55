, seen AS (
  SELECT {{.Key}}, min(occurred_on) AS first_on FROM counted WHERE person_token IS NOT NULL GROUP BY ALL
), person AS (
  SELECT {{.Dims}} person_token,
         bool_or(first_on < q.from_on AND occurred_on BETWEEN q.from_on AND q.to_on) AS back,
         any_value(operator) AS operator
  FROM counted JOIN seen USING ({{.Key}}), q
  WHERE occurred_on <= q.seen_to
  GROUP BY ALL
)
SELECT {{.Dims}} count(*) FILTER (back) / count(*), count(*) FILTER (back), count(*),
       least(count(*), coalesce(nullif(count(*) FILTER (back), 0), count(*)), coalesce(nullif(count(*) FILTER (NOT back), 0), count(*))) AS persons, count(DISTINCT operator) AS shops
FROM person
{{.Group}}
