{{- /* Small areas under the name of the region that they were put into. */ -}}
{{- if .Regions}} REPLACE ({{range $i, $r := .Regions}}{{if $i}}, {{end -}}
coalesce(string_split(${{$r.Into}}, chr(31))[list_position(string_split(${{$r.From}}, chr(31)), {{$r.Dim}})], {{$r.Dim}}) AS {{$r.Dim}}
{{- end}})
{{- end -}}
