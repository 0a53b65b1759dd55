SELECT {{.Dims}}
       CAST(coalesce(sum(CASE WHEN kind IN ('cancel', 'refund') THEN -amount_yen ELSE amount_yen END), 0) AS BIGINT) AS net_yen,
       CAST(coalesce(sum(amount_yen) FILTER (kind = 'pay'), 0) AS BIGINT) AS used_yen,
       CAST(coalesce(sum(amount_yen) FILTER (kind IN ('cancel', 'refund')), 0) AS BIGINT) AS cancelled_yen,
       count(DISTINCT payment_token) FILTER (kind = 'pay') AS used,
       count(DISTINCT payment_token) FILTER (kind IN ('cancel', 'refund')) AS cancelled,
       count(DISTINCT payment_token) FILTER (kind = 'adjustment') AS adjusted,
       -- a single cancel is somebody's: the smaller group counts, and a cancel by
       -- nobody known is a group of none
       CASE WHEN count(*) FILTER (kind <> 'pay') = 0 THEN count(DISTINCT person_token)
            ELSE least(count(DISTINCT person_token), count(DISTINCT person_token) FILTER (kind <> 'pay')) END AS persons,
       count(DISTINCT m.operator) AS shops
FROM (SELECT *{{template "regions.sql" .}} FROM movement) m, q
WHERE m.occurred_on BETWEEN q.from_on AND q.to_on AND (q.only_shop = '' OR m.shop = q.only_shop)
{{.Group}}
