-- How small are the classes of persons by sex, age and area? $1 is k, $2 is l:
-- the fewest industries that a class should have visited. {{.Residents}} are files
-- of the lake's residents, and without any of them the persons are those who paid.
-- A person whose attributes have changed has the last ones.
WITH person AS (
{{- if .Residents}}
  SELECT person_token, max_by(struct_pack(sex, age_band, home_area), source) AS is_of
  FROM read_parquet({{.Residents}}, hive_partitioning = false, union_by_name = true) WHERE person_token IS NOT NULL GROUP BY person_token
{{- else}}
  SELECT person_token, max_by(struct_pack(sex, age_band, home_area), (occurred_local, event_token)) AS is_of
  FROM event WHERE person_token IS NOT NULL GROUP BY person_token
{{- end}}
), general AS (
  SELECT person_token, is_of.sex AS sex,
         {{if .Age20}}CASE WHEN is_of.age_band IN ('0-9', '10-19') THEN '0-19' WHEN is_of.age_band IN ('20-29', '30-39') THEN '20-39'
              WHEN is_of.age_band IN ('40-49', '50-59') THEN '40-59' WHEN is_of.age_band IN ('60-69', '70-79') THEN '60-79'
              WHEN is_of.age_band IN ('80-89', '90+') THEN '80+' ELSE is_of.age_band END{{else}}is_of.age_band{{end}} AS age,
         {{if .City}}''{{else}}is_of.home_area{{end}} AS area
  FROM person
), class AS (
  SELECT sex, age, area, count(*) AS persons FROM general GROUP BY ALL
), visited AS (
  SELECT g.sex, g.age, g.area, count(DISTINCT e.industry) AS industries
  FROM general g JOIN event e USING (person_token) WHERE e.kind = 'pay' GROUP BY ALL
)
SELECT CAST(coalesce(sum(persons), 0) AS BIGINT), count(*), count(*) FILTER (persons = 1),
       CAST(coalesce(sum(persons) FILTER (persons < $1), 0) AS BIGINT),
       CAST(coalesce(sum(persons) FILTER (coalesce(industries, 0) < $2), 0) AS BIGINT)
FROM class LEFT JOIN visited USING (sex, age, area)
