SELECT {{.Dims}} CAST(coalesce(sum(net_yen), 0) AS BIGINT) AS net_yen,
       count(DISTINCT person_token) AS persons, count(DISTINCT operator) AS shops
FROM scope
{{.Group}}
