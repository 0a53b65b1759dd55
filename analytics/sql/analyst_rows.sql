{{- /* The rows of one snapshot as a query, for the views of an analyst's session. */ -}}
{{- if .Files}}SELECT * REPLACE (coalesce(operator, '') AS operator)
FROM (SELECT * FROM read_parquet({{.Files}}, hive_partitioning = false, union_by_name = true) UNION ALL BY NAME SELECT '' AS operator WHERE false)
{{- else}}SELECT CAST(NULL AS BLOB) AS event_token, CAST(NULL AS BLOB) AS payment_token, CAST(NULL AS BLOB) AS target_token,
       CAST(NULL AS BLOB) AS person_token, '' AS source, '' AS kind, '' AS service_type, CAST(0 AS BIGINT) AS amount_yen,
       true AS active, CAST(NULL AS TIMESTAMP) AS occurred_local, CAST(NULL AS DATE) AS occurred_on,
       '' AS shop_id, '' AS operator, '' AS industry, '' AS shop_area, '' AS sex, '' AS age_band, '' AS home_area
WHERE false
{{- end}}
