-- Who stands behind the cells of a cut: the part of each shop, or of each
-- person, in each cell. Payments by nobody known are one party.
SELECT {{.Dims}} coalesce(CAST({{.Party}} AS VARCHAR), '') AS party, CAST(sum(net_yen) AS DOUBLE) AS yen, count(*) AS payments
FROM scope
GROUP BY {{.Dims}} {{.Party}}
ORDER BY ALL
