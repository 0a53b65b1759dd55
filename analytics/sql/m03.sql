SELECT {{.Dims}} count(DISTINCT person_token) AS n,
       count(DISTINCT person_token) AS persons, count(DISTINCT operator) AS shops
FROM scope
{{.Group}}
