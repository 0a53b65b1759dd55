-- {{.Label}}
-- snapshot {{.Snapshot}} of {{.At}}, key epoch {{.Epoch}}
-- docs/lake.md と docs/analysts.md の約束に従って使います。/ For use as docs/lake.md and docs/analysts.md say.
--   duckdb -init views.sql
--   duckdb.sql(open("views.sql").read()); visits = duckdb.sql("FROM visits").pl()   # Python; .df() for pandas
{{- range .Tables}}
CREATE OR REPLACE VIEW {{.Name}} AS
SELECT * FROM read_parquet({{.Files}}, union_by_name = true, hive_partitioning = false);
{{- if eq .Name "payments"}}
CREATE OR REPLACE VIEW visits AS
{{template "visits.sql"}};
{{- end}}
{{- end}}
