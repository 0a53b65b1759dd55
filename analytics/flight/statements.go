package flight

import (
	"context"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"meguri/analytics/duck"
)

// info points a client at a ticket of this server. A schema of nil is one that
// is known when the answer comes.
func info(desc *arrowflight.FlightDescriptor, ticket []byte, schema *arrow.Schema) *arrowflight.FlightInfo {
	i := &arrowflight.FlightInfo{
		Endpoint:         []*arrowflight.FlightEndpoint{{Ticket: &arrowflight.Ticket{Ticket: ticket}}},
		FlightDescriptor: desc, TotalRecords: -1, TotalBytes: -1,
	}
	if schema != nil {
		i.Schema = arrowflight.SerializeSchema(schema, memory.DefaultAllocator)
	}
	return i
}

// send streams an answer that is held.
func send(ctx context.Context, a *answer) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	chunks := make(chan arrowflight.StreamChunk)
	go func() {
		defer close(chunks)
		defer a.release() // what was not sent
		for len(a.batches) > 0 {
			select {
			case chunks <- arrowflight.StreamChunk{Data: a.batches[0]}: // the reader releases it
				a.batches = a.batches[1:]
			case <-ctx.Done():
				return
			}
		}
	}()
	return a.schema, chunks, nil
}

// GetFlightInfoStatement reads a query and says what columns it will have. The
// ticket is the query itself, which is read again when the ticket comes back.
func (s *Server) GetFlightInfoStatement(ctx context.Context, q flightsql.StatementQuery, desc *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	c, err := s.session(ctx)
	if err != nil {
		return nil, err
	}
	schema, _, err := c.schema(ctx, q.GetQuery(), nil)
	if err != nil {
		return nil, err
	}
	ticket, err := flightsql.CreateStatementQueryTicket([]byte(q.GetQuery()))
	if err != nil {
		return nil, fmt.Errorf("make ticket: %w", err)
	}
	return info(desc, ticket, schema), nil
}

// GetSchemaStatement says what columns a query will have.
func (s *Server) GetSchemaStatement(ctx context.Context, q flightsql.StatementQuery, _ *arrowflight.FlightDescriptor) (*arrowflight.SchemaResult, error) {
	c, err := s.session(ctx)
	if err != nil {
		return nil, err
	}
	schema, _, err := c.schema(ctx, q.GetQuery(), nil)
	if err != nil {
		return nil, err
	}
	return schemaResult(schema)
}

func schemaResult(schema *arrow.Schema) (*arrowflight.SchemaResult, error) {
	if schema == nil {
		return nil, say(codes.InvalidArgument, "この文の列は実行するまで分かりません。", "the columns of this statement are known when it has run")
	}
	return &arrowflight.SchemaResult{Schema: arrowflight.SerializeSchema(schema, memory.DefaultAllocator)}, nil
}

// DoGetStatement runs a query.
func (s *Server) DoGetStatement(ctx context.Context, t flightsql.StatementQueryTicket) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	c, err := s.session(ctx)
	if err != nil {
		return nil, nil, err
	}
	a, err := c.run(ctx, string(t.GetStatementHandle()), nil)
	if err != nil {
		return nil, nil, err
	}
	return send(ctx, a)
}

// DoPutCommandStatementUpdate makes a temporary table or view of the session;
// every other change is refused.
func (s *Server) DoPutCommandStatementUpdate(ctx context.Context, u flightsql.StatementUpdate) (int64, error) {
	c, err := s.session(ctx)
	if err != nil {
		return 0, err
	}
	return c.update(ctx, u.GetQuery())
}

func (c *session) update(ctx context.Context, text string) (int64, error) {
	var st duck.Statement
	err := c.use(ctx, func(ctx context.Context) (err error) {
		st, err = c.check(ctx, text)
		return err
	})
	if err != nil {
		return 0, err
	}
	if st.Temporary == "" {
		return 0, errWrites
	}
	a, err := c.run(ctx, text, nil)
	if err != nil {
		return 0, err
	}
	a.release()
	return -1, nil // not known, as the protocol has it
}

// CreatePreparedStatement keeps a statement for values to be bound to.
func (s *Server) CreatePreparedStatement(ctx context.Context, req flightsql.ActionCreatePreparedStatementRequest) (result flightsql.ActionCreatePreparedStatementResult, err error) {
	if len(req.GetTransactionId()) > 0 {
		return result, errWrites
	}
	c, err := s.session(ctx)
	if err != nil {
		return result, err
	}
	schema, st, err := c.schema(ctx, req.GetQuery(), nil)
	if err != nil {
		return result, err
	}
	handle := uuid.NewString()
	err = c.use(ctx, func(context.Context) error {
		if len(c.prepared) >= mostPrepared {
			return say(codes.ResourceExhausted, "準備した文が多すぎます。使い終わったものを閉じてください。", "too many prepared statements: close those not in use")
		}
		c.prepared[handle] = &prepared{text: req.GetQuery()}
		return nil
	})
	if err != nil {
		return result, err
	}
	update := st.Temporary != ""
	result.Handle, result.DatasetSchema, result.IsUpdate = []byte(handle), schema, &update
	if st.Parameters > 0 {
		var fields []arrow.Field
		for i := range st.Parameters {
			fields = append(fields, arrow.Field{Name: fmt.Sprintf("$%d", i+1), Type: arrow.BinaryTypes.String, Nullable: true})
		}
		result.ParameterSchema = arrow.NewSchema(fields, nil)
	}
	return result, nil
}

// ClosePreparedStatement forgets a statement.
func (s *Server) ClosePreparedStatement(ctx context.Context, req flightsql.ActionClosePreparedStatementRequest) error {
	c, err := s.session(ctx)
	if err != nil {
		return err
	}
	return c.use(ctx, func(context.Context) error {
		delete(c.prepared, string(req.GetPreparedStatementHandle()))
		return nil
	})
}

// find returns a copy of a prepared statement.
func (c *session) find(ctx context.Context, handle []byte) (p prepared, err error) {
	err = c.use(ctx, func(context.Context) error {
		found := c.prepared[string(handle)]
		if found == nil {
			return errHandle
		}
		p = *found
		return nil
	})
	return p, err
}

// DoPutPreparedStatementQuery binds one row of values.
func (s *Server) DoPutPreparedStatementQuery(ctx context.Context, q flightsql.PreparedStatementQuery, r arrowflight.MessageReader, _ arrowflight.MetadataWriter) ([]byte, error) {
	c, err := s.session(ctx)
	if err != nil {
		return nil, err
	}
	handle := q.GetPreparedStatementHandle()
	if _, err := c.find(ctx, handle); err != nil {
		return nil, err
	}
	args, err := readArgs(r)
	if err != nil {
		return nil, err
	}
	err = c.use(ctx, func(context.Context) error {
		found := c.prepared[string(handle)]
		if found == nil {
			return errHandle
		}
		found.args = args
		return nil
	})
	return handle, err
}

// readArgs reads the one row of values that a query takes.
func readArgs(r arrowflight.MessageReader) ([]any, error) {
	var args []any
	rows := int64(0)
	for r.Next() {
		b := r.RecordBatch()
		if rows += b.NumRows(); rows > 1 {
			return nil, say(codes.InvalidArgument, "値は一度に1行だけ渡してください。", "bind one row of values at a time")
		}
		if b.NumRows() == 0 {
			continue
		}
		for i, column := range b.Columns() {
			v, ok := value(column)
			if !ok {
				return nil, say(codes.InvalidArgument,
					fmt.Sprintf("%d 番目の値の型 %s は使えません。整数、小数、文字列、真偽、日付、日時、バイト列で渡してください。", i+1, column.DataType()),
					fmt.Sprintf("value %d has the type %s: give an integer, a float, text, a boolean, a date, a timestamp or bytes", i+1, column.DataType()))
			}
			args = append(args, v)
		}
	}
	if err := r.Err(); err != nil {
		return nil, say(codes.InvalidArgument, "値を読めません: "+err.Error(), "the values cannot be read")
	}
	return args, nil
}

// value is the first value of a column as DuckDB's driver takes it.
func value(column arrow.Array) (any, bool) {
	if column.IsNull(0) {
		return nil, true
	}
	switch c := column.(type) {
	case *array.Null:
		return nil, true
	case *array.Int8:
		return c.Value(0), true
	case *array.Int16:
		return c.Value(0), true
	case *array.Int32:
		return c.Value(0), true
	case *array.Int64:
		return c.Value(0), true
	case *array.Uint8:
		return c.Value(0), true
	case *array.Uint16:
		return c.Value(0), true
	case *array.Uint32:
		return c.Value(0), true
	case *array.Uint64:
		return c.Value(0), true
	case *array.Float32:
		return c.Value(0), true
	case *array.Float64:
		return c.Value(0), true
	case *array.Boolean:
		return c.Value(0), true
	case *array.String:
		return strings.Clone(c.Value(0)), true
	case *array.LargeString:
		return strings.Clone(c.Value(0)), true
	case *array.Binary:
		return append([]byte{}, c.Value(0)...), true
	case *array.FixedSizeBinary:
		return append([]byte{}, c.Value(0)...), true
	case *array.Date32:
		return c.Value(0).ToTime(), true
	case *array.Timestamp:
		return c.Value(0).ToTime(c.DataType().(*arrow.TimestampType).Unit), true
	case *array.DenseUnion: // JDBC wraps each value
		return value(c.Field(c.ChildID(0)))
	}
	return nil, false
}

// GetFlightInfoPreparedStatement says what columns a prepared statement has,
// with the values that are bound to it.
func (s *Server) GetFlightInfoPreparedStatement(ctx context.Context, q flightsql.PreparedStatementQuery, desc *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	schema, err := s.preparedSchema(ctx, q)
	if err != nil {
		return nil, err
	}
	return info(desc, desc.Cmd, schema), nil
}

// GetSchemaPreparedStatement says the same and no more.
func (s *Server) GetSchemaPreparedStatement(ctx context.Context, q flightsql.PreparedStatementQuery, _ *arrowflight.FlightDescriptor) (*arrowflight.SchemaResult, error) {
	schema, err := s.preparedSchema(ctx, q)
	if err != nil {
		return nil, err
	}
	return schemaResult(schema)
}

func (s *Server) preparedSchema(ctx context.Context, q flightsql.PreparedStatementQuery) (*arrow.Schema, error) {
	c, err := s.session(ctx)
	if err != nil {
		return nil, err
	}
	p, err := c.find(ctx, q.GetPreparedStatementHandle())
	if err != nil {
		return nil, err
	}
	schema, _, err := c.schema(ctx, p.text, p.args)
	return schema, err
}

// DoGetPreparedStatement runs a prepared statement.
func (s *Server) DoGetPreparedStatement(ctx context.Context, q flightsql.PreparedStatementQuery) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	c, err := s.session(ctx)
	if err != nil {
		return nil, nil, err
	}
	p, err := c.find(ctx, q.GetPreparedStatementHandle())
	if err != nil {
		return nil, nil, err
	}
	a, err := c.run(ctx, p.text, p.args)
	if err != nil {
		return nil, nil, err
	}
	return send(ctx, a)
}

// DoPutPreparedStatementUpdate makes a temporary table or view.
func (s *Server) DoPutPreparedStatementUpdate(ctx context.Context, u flightsql.PreparedStatementUpdate, _ arrowflight.MessageReader) (int64, error) {
	c, err := s.session(ctx)
	if err != nil {
		return 0, err
	}
	p, err := c.find(ctx, u.GetPreparedStatementHandle())
	if err != nil {
		return 0, err
	}
	return c.update(ctx, p.text)
}

// DoPutCommandStatementIngest refuses data from outside: rows of the lake must
// not be matched with any that could name a person (Art. 41(7)).
func (s *Server) DoPutCommandStatementIngest(context.Context, flightsql.StatementIngest, arrowflight.MessageReader) (int64, error) {
	return 0, say(codes.PermissionDenied,
		"外部のデータは取り込めません（照合の禁止、個人情報保護法 第41条第7項）。必要な統計や暦は事務局にご相談ください。",
		"no data of others are taken in (no matching, APPI Art. 41(7)): ask the office for statistics or calendars that you need")
}

// BeginTransaction refuses: there is nothing to commit.
func (s *Server) BeginTransaction(context.Context, flightsql.ActionBeginTransactionRequest) ([]byte, error) {
	return nil, errWrites
}
