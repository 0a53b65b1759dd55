SELECT {{.Dims}}
       count(DISTINCT (person_token, shop, occurred_on)) FILTER (person_token IS NOT NULL) AS visits,
       count(*) AS payments, count(person_token) AS known_payments,
       count(DISTINCT person_token) AS persons, count(DISTINCT operator) AS shops
FROM scope
{{.Group}}
