-- An analyst's query, cut after the first row that is too many.
SELECT * FROM (
{{.Query}}
) LIMIT {{.Limit}}
