package flight

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql/schema_ref"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// What DuckDB calls the place of the tables, and what they are.
const (
	catalogName = "memory"
	schemaName  = "main"
	tableType   = "VIEW"
)

// describe fills in what drivers ask before anything else.
func (s *Server) describe() error {
	for id, v := range map[flightsql.SqlInfo]any{
		flightsql.SqlInfoFlightSqlServerName:         "meguri",
		flightsql.SqlInfoFlightSqlServerVersion:      "1",
		flightsql.SqlInfoFlightSqlServerArrowVersion: arrow.PkgVersion,
		flightsql.SqlInfoFlightSqlServerReadOnly:     true,
		flightsql.SqlInfoFlightSqlServerSql:          true,
		flightsql.SqlInfoFlightSqlServerSubstrait:    false,
		flightsql.SqlInfoFlightSqlServerTransaction:  int32(flightsql.SqlTransactionNone),
		flightsql.SqlInfoFlightSqlServerCancel:       false,
		flightsql.SqlInfoTransactionsSupported:       false,
		flightsql.SqlInfoDDLCatalog:                  false,
		flightsql.SqlInfoDDLSchema:                   false,
		flightsql.SqlInfoDDLTable:                    false,
		flightsql.SqlInfoIdentifierCase:              int64(flightsql.SqlCaseSensitivityCaseInsensitive),
		flightsql.SqlInfoQuotedIdentifierCase:        int64(flightsql.SqlCaseSensitivityCaseInsensitive),
		flightsql.SqlInfoIdentifierQuoteChar:         `"`,
		flightsql.SqlInfoAllTablesAreASelectable:     true,
		flightsql.SqlInfoNullOrdering:                int64(flightsql.SqlNullOrderingSortAtEnd),
	} {
		if err := s.RegisterSqlInfo(id, v); err != nil {
			return err
		}
	}
	return nil
}

// texts sends rows of texts.
func texts(ctx context.Context, schema *arrow.Schema, rows ...[]string) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, row := range rows {
		for i, text := range row {
			switch f := b.Field(i).(type) {
			case *array.StringBuilder:
				f.Append(text)
			case *array.BinaryBuilder:
				f.Append([]byte(text))
			}
		}
	}
	return send(ctx, &answer{schema: schema, batches: []arrow.RecordBatch{b.NewRecordBatch()}})
}

// GetFlightInfoCatalogs implements flightsql.Server.
func (s *Server) GetFlightInfoCatalogs(_ context.Context, desc *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	return info(desc, desc.Cmd, schema_ref.Catalogs), nil
}

// DoGetCatalogs implements flightsql.Server.
func (s *Server) DoGetCatalogs(ctx context.Context) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	return texts(ctx, schema_ref.Catalogs, []string{catalogName})
}

// GetFlightInfoSchemas implements flightsql.Server.
func (s *Server) GetFlightInfoSchemas(_ context.Context, _ flightsql.GetDBSchemas, desc *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	return info(desc, desc.Cmd, schema_ref.DBSchemas), nil
}

// DoGetDBSchemas implements flightsql.Server.
func (s *Server) DoGetDBSchemas(ctx context.Context, q flightsql.GetDBSchemas) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	if !is(q.GetCatalog(), catalogName) || !like(q.GetDBSchemaFilterPattern(), schemaName) {
		return texts(ctx, schema_ref.DBSchemas)
	}
	return texts(ctx, schema_ref.DBSchemas, []string{catalogName, schemaName})
}

// GetFlightInfoTableTypes implements flightsql.Server.
func (s *Server) GetFlightInfoTableTypes(_ context.Context, desc *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	return info(desc, desc.Cmd, schema_ref.TableTypes), nil
}

// DoGetTableTypes implements flightsql.Server.
func (s *Server) DoGetTableTypes(ctx context.Context) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	return texts(ctx, schema_ref.TableTypes, []string{tableType})
}

// GetFlightInfoTables implements flightsql.Server.
func (s *Server) GetFlightInfoTables(_ context.Context, q flightsql.GetTables, desc *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	return info(desc, desc.Cmd, tablesSchema(q)), nil
}

func tablesSchema(q flightsql.GetTables) *arrow.Schema {
	if q.GetIncludeSchema() {
		return schema_ref.TablesWithIncludedSchema
	}
	return schema_ref.Tables
}

// DoGetTables lists the tables of the grant.
func (s *Server) DoGetTables(ctx context.Context, q flightsql.GetTables) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	c, err := s.session(ctx)
	if err != nil {
		return nil, nil, err
	}
	types := q.GetTableTypes()
	if !is(q.GetCatalog(), catalogName) || !like(q.GetDBSchemaFilterPattern(), schemaName) ||
		len(types) > 0 && !slices.Contains(types, tableType) {
		return texts(ctx, tablesSchema(q))
	}
	var rows [][]string
	for _, table := range slices.Sorted(maps.Keys(set(c.sandbox.Tables()))) {
		if !like(q.GetTableNameFilterPattern(), table) {
			continue
		}
		row := []string{catalogName, schemaName, table, tableType}
		if q.GetIncludeSchema() {
			schema, _, err := c.schema(ctx, "SELECT * FROM "+table, nil)
			if err != nil {
				return nil, nil, err
			}
			row = append(row, string(arrowflight.SerializeSchema(schema, memory.DefaultAllocator)))
		}
		rows = append(rows, row)
	}
	return texts(ctx, tablesSchema(q), rows...)
}

func set(names []string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

// GetFlightInfoPrimaryKeys implements flightsql.Server: no table has a key.
func (s *Server) GetFlightInfoPrimaryKeys(_ context.Context, _ flightsql.TableRef, desc *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	return info(desc, desc.Cmd, schema_ref.PrimaryKeys), nil
}

// DoGetPrimaryKeys implements flightsql.Server.
func (s *Server) DoGetPrimaryKeys(ctx context.Context, _ flightsql.TableRef) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	return texts(ctx, schema_ref.PrimaryKeys)
}

// is compares a name with a filter; no filter takes all.
func is(filter *string, name string) bool { return filter == nil || *filter == name }

// like compares a name with a pattern of SQL: % is anything, _ one character.
func like(pattern *string, name string) bool {
	if pattern == nil {
		return true
	}
	p := regexp.QuoteMeta(*pattern)
	p = strings.NewReplacer("%", ".*", "_", ".").Replace(p)
	ok, err := regexp.MatchString("(?is)^"+p+"$", name)
	return err == nil && ok
}
