, born AS (
  SELECT person_token, date_trunc('month', min(occurred_on)) AS cohort
  FROM counted WHERE person_token IS NOT NULL GROUP BY person_token
), size AS (
  SELECT cohort, count(*) AS n FROM born, q
  WHERE cohort BETWEEN date_trunc('month', q.from_on) AND q.to_on GROUP BY cohort
), grid AS (
  SELECT cohort, n, CAST(unnest(range(0, datediff('month', cohort, q.to_on) + 1)) AS INTEGER) AS months FROM size, q
), active AS (
  SELECT b.cohort, datediff('month', b.cohort, date_trunc('month', c.occurred_on)) AS months,
         count(DISTINCT c.person_token) AS n, count(DISTINCT c.operator) AS shops
  FROM born b JOIN counted c USING (person_token), q
  WHERE c.occurred_on <= q.to_on
  GROUP BY ALL
), cell AS (
  SELECT g.cohort, g.months, g.n AS size, coalesce(a.n, 0) AS active, coalesce(a.shops, 0) AS shops,
         last_day(CAST(g.cohort + to_months(g.months) AS DATE)) <= q.to_on AS observed
  FROM grid g LEFT JOIN active a USING (cohort, months), q
)
SELECT strftime(cohort, '%Y-%m'), CAST(months AS VARCHAR), size,
       CASE WHEN observed THEN active END, CASE WHEN observed THEN active / size END,
       least(size, CASE WHEN observed AND active > 0 THEN active ELSE size END) AS persons, shops
FROM cell
ORDER BY cohort, months
