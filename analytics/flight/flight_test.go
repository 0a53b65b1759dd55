package flight_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"meguri/analytics/flight"
	"meguri/analytics/flight/sqlstore"
	"meguri/internal/sqldb/sqldbtest"
	"meguri/pseudonymize/lake"
)

func digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// rowsOf is how many payments the tests' lake has; every tenth was cancelled.
const rowsOf = 3000

func makeLake(t *testing.T, dir string) *lake.Lake {
	t.Helper()
	token, text := &arrow.FixedSizeBinaryType{ByteWidth: 16}, arrow.BinaryTypes.String
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "event_token", Type: token}, {Name: "payment_token", Type: token},
		{Name: "target_token", Type: token, Nullable: true}, {Name: "person_token", Type: token, Nullable: true},
		{Name: "source", Type: text}, {Name: "kind", Type: text}, {Name: "service_type", Type: text},
		{Name: "amount_yen", Type: arrow.PrimitiveTypes.Int64}, {Name: "active", Type: arrow.FixedWidthTypes.Boolean},
		{Name: "occurred_local", Type: &arrow.TimestampType{Unit: arrow.Microsecond}},
		{Name: "occurred_on", Type: arrow.FixedWidthTypes.Date32},
		{Name: "shop_id", Type: text}, {Name: "industry", Type: text}, {Name: "shop_area", Type: text},
		{Name: "sex", Type: text}, {Name: "age_band", Type: text}, {Name: "home_area", Type: text},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	add := func(n int, kind string, target int) {
		id := func(i int) []byte { return fmt.Appendf(nil, "%016d", i) }
		b.Field(0).(*array.FixedSizeBinaryBuilder).Append(id(n))
		b.Field(1).(*array.FixedSizeBinaryBuilder).Append(id(n))
		if target < 0 {
			b.Field(2).AppendNull()
		} else {
			b.Field(2).(*array.FixedSizeBinaryBuilder).Append(id(target))
		}
		b.Field(3).(*array.FixedSizeBinaryBuilder).Append(id(n % 50))
		at := time.Date(2026, time.Month(4+n%2), 1+n%28, 10, n%60, 0, 0, time.UTC)
		for col, s := range map[int]string{4: "test", 5: kind, 6: "voucher", 11: "s1", 12: "cafe", 13: "A", 14: "female", 15: "20-29", 16: "A"} {
			b.Field(col).(*array.StringBuilder).Append(s)
		}
		b.Field(7).(*array.Int64Builder).Append(int64(n % 400))
		b.Field(8).(*array.BooleanBuilder).Append(true)
		b.Field(9).(*array.TimestampBuilder).Append(arrow.Timestamp(at.UnixMicro()))
		b.Field(10).(*array.Date32Builder).Append(arrow.Date32FromTime(at))
	}
	for i := range rowsOf {
		add(i, "pay", -1)
		if i%10 == 0 {
			add(rowsOf+i, "cancel", i)
		}
	}
	l := lake.Open(dir)
	w, err := l.Begin("132047")
	if err != nil {
		t.Fatal(err)
	}
	payments, err := w.Table("payments", schema)
	if err != nil {
		t.Fatal(err)
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	if err := payments.Write(batch); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(lake.Commit{Segments: []int64{1}, Epoch: 1, At: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}); err != nil {
		t.Fatal(err)
	}
	return l
}

// house is a server with everything around it.
type house struct {
	t       *testing.T
	dir     string
	lake    *lake.Lake
	store   *sqlstore.Store
	failing sync.Map // kinds of entries that cannot be written
	onEntry func(flight.Entry)
	address string
	most    flight.Volume // of new grants; zero is plenty
	mu      sync.Mutex
	clock   time.Time
}

// Append implements flight.Log, and fails when it should.
func (h *house) Append(ctx context.Context, e flight.Entry) error {
	if _, fails := h.failing.Load(e.Kind); fails {
		return errors.New("the disk is full")
	}
	if h.onEntry != nil {
		h.onEntry(e)
	}
	return h.store.Append(ctx, e)
}

// Take implements flight.Store, and fails like Append.
func (h *house) Take(ctx context.Context, e flight.Entry) error {
	if _, fails := h.failing.Load(e.Kind); fails {
		return errors.New("the disk is full")
	}
	return h.store.Take(ctx, e)
}

// shaky is the true store, but for a log that may fail.
type shaky struct {
	*sqlstore.Store
	h *house
}

// Append implements flight.Log.
func (s shaky) Append(ctx context.Context, e flight.Entry) error { return s.h.Append(ctx, e) }

// Take implements flight.Store.
func (s shaky) Take(ctx context.Context, e flight.Entry) error { return s.h.Take(ctx, e) }

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clock
}

func (h *house) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock = h.clock.Add(d)
}

func build(t *testing.T, limits flight.Options) *house {
	t.Helper()
	return buildWith(t, limits, nil)
}

func buildWith(t *testing.T, limits flight.Options, certificate *tls.Certificate) *house {
	t.Helper()
	dir := t.TempDir()
	h := &house{t: t, dir: dir, lake: makeLake(t, filepath.Join(dir, "lake")), clock: time.Now()}
	var err error
	if h.store, err = sqlstore.Open(context.Background(), sqldbtest.SQLite(t)); err != nil {
		t.Fatal(err)
	}
	limits.Lake, limits.Store, limits.Digest, limits.Now = h.lake, shaky{h.store, h}, digest, h.now
	s, err := flight.New(limits, certificate)
	if err != nil {
		t.Fatal(err)
	}
	l, err := flight.Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	h.address = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return h
}

// grant makes a grant whose token is its ID.
func (h *house) grant(id string, basis flight.Basis, tables ...string) {
	h.t.Helper()
	now := h.now()
	g := flight.Grant{ID: id, Name: "解析 太郎", Organisation: "めぐり大学", Basis: basis, Purpose: "回遊の分析", Tables: tables,
		TokenDigest: digest(id), CreatedAt: now, From: now, Until: now.Add(time.Hour), Most: h.most}
	if h.most == (flight.Volume{}) {
		g.Most = flight.Volume{Rows: 10_000_000, Bytes: 4 << 30}
	}
	if err := errors.Join(g.Check(now), h.store.PutGrant(context.Background(), g)); err != nil {
		h.t.Fatal(err)
	}
}

// analyst is a client on a connection of its own.
type analyst struct {
	t   *testing.T
	c   *flightsql.Client
	ctx context.Context
}

func (h *house) analyst(token string) *analyst {
	h.t.Helper()
	c, err := flightsql.NewClient(h.address, nil, nil, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = c.Close() }) // a test may have closed it
	ctx := context.Background()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	return &analyst{h.t, c, ctx}
}

// fetch reads every row that a ticket gives, as text.
func (a *analyst) fetch(i *arrowflight.FlightInfo) (rows [][]string, schema *arrow.Schema, err error) {
	for _, e := range i.Endpoint {
		r, err := a.c.DoGet(a.ctx, e.Ticket)
		if err != nil {
			return nil, nil, err
		}
		defer r.Release()
		schema = r.Schema()
		for r.Next() {
			b := r.RecordBatch()
			for n := range int(b.NumRows()) {
				var row []string
				for _, c := range b.Columns() {
					row = append(row, c.ValueStr(n))
				}
				rows = append(rows, row)
			}
		}
		if err := r.Err(); err != nil && !errors.Is(err, io.EOF) {
			return nil, nil, err
		}
	}
	return rows, schema, nil
}

func (a *analyst) query(text string) ([][]string, *arrow.Schema, error) {
	i, err := a.c.Execute(a.ctx, text)
	if err != nil {
		return nil, nil, err
	}
	return a.fetch(i)
}

func (a *analyst) want(text, want string) {
	a.t.Helper()
	rows, _, err := a.query(text)
	if got := fmt.Sprint(rows); err != nil || got != want {
		a.t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
	}
}

func (a *analyst) refused(text string, code codes.Code, says string) {
	a.t.Helper()
	rows, _, err := a.query(text)
	if status.Code(err) != code || !strings.Contains(fmt.Sprint(err), says) {
		a.t.Errorf("%s: got %d rows, %v, want %s with %q", text, len(rows), err, code, says)
	}
}

func (h *house) log(grant string) []flight.Entry {
	h.t.Helper()
	entries, err := h.store.Entries(context.Background(), grant, 0, 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	return entries
}

func TestQuery_AnswersWithTheLabel(t *testing.T) {
	h := build(t, flight.Options{})
	h.grant("g", flight.Contract, "event", "movement", "payment", "visits")
	a := h.analyst("g")
	a.want("SELECT kind, count(*) FROM event GROUP BY kind ORDER BY kind", "[[cancel 300] [pay 3000]]")
	a.want("SELECT count(*), count(DISTINCT person_token) FROM payment", "[[2700 45]]")
	a.want("FROM movement SELECT count(*) WHERE kind = 'cancel';", "[[300]]")
	a.want("WITH p AS (SELECT * FROM main.payment) SELECT count(*) FROM p -- all", "[[2700]]")
	a.want("SELECT i FROM range(3) t(i) ORDER BY i DESC", "[[2] [1] [0]]")
	a.want("SELECT table_name FROM information_schema.tables WHERE table_schema = 'main' ORDER BY 1", "[[event] [movement] [payment] [visits]]")
	a.want("SELECT sum(payments) FROM visits", "[[2700]]")
	if rows, _, err := a.query("DESCRIBE payment"); err != nil || len(rows) != 11 {
		t.Errorf("DESCRIBE: got %d rows, %v", len(rows), err)
	}
	if rows, _, err := a.query("EXPLAIN SELECT * FROM payment"); err != nil || len(rows) == 0 {
		t.Errorf("EXPLAIN: got %d rows, %v", len(rows), err)
	}
	i, err := a.c.Execute(a.ctx, "SELECT person_token, amount_yen FROM event LIMIT 5000")
	if err != nil {
		t.Fatal(err)
	}
	promised, err := arrowflight.DeserializeSchema(i.Schema, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	rows, schema, err := a.fetch(i)
	if err != nil || len(rows) != 3300 {
		t.Fatalf("got %d rows, %v", len(rows), err)
	}
	if !schema.Equal(promised) {
		t.Errorf("promised %s, got %s", promised, schema)
	}
	if v, _ := schema.Metadata().GetValue("label"); v != lake.Label {
		t.Errorf("the label is %q", v)
	}
}

func TestQuery_ReadsOneSnapshotInASession(t *testing.T) {
	h := build(t, flight.Options{})
	h.grant("g", flight.Contract, "event")
	old := h.analyst("g")
	old.want("SELECT count(*) FROM event", "[[3300]]")
	m, err := h.lake.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	rows, _, err := old.query("SELECT * FROM event LIMIT 0")
	if err != nil || len(rows) != 0 {
		t.Fatal(rows, err)
	}
	f, err := file.OpenParquetFile(h.lake.Paths(m, "payments")[0], false)
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	other := makeLake(t, filepath.Join(h.dir, "other")) // the same rows, as a second snapshot
	om, err := other.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range other.Paths(om, "payments") {
		text, err := os.ReadFile(p)
		name := strings.Replace(om.Files[i].Path, "000001", "000002", 1)
		if err := errors.Join(err, os.WriteFile(filepath.Join(h.lake.Dir(), name), text, 0o640)); err != nil {
			t.Fatal(err)
		}
		added := om.Files[i]
		added.Path = name
		m.Files = append(m.Files, added)
	}
	m.Snapshot = 2
	text, err := json.Marshal(m)
	if err := errors.Join(err, os.WriteFile(filepath.Join(h.lake.Dir(), "manifest.json"), text, 0o640)); err != nil {
		t.Fatal(err)
	}
	old.want("SELECT count(*) FROM event", "[[3300]]")
	h.analyst("g").want("SELECT count(*) FROM event", "[[6600]]")
}

func TestCatalogue_ListsWhatWasGranted(t *testing.T) {
	h := build(t, flight.Options{})
	h.grant("g", flight.Contract, "payment")
	a := h.analyst("g")
	for name, c := range map[string]struct {
		ask  func() (*arrowflight.FlightInfo, error)
		want string
	}{
		"catalogs": {func() (*arrowflight.FlightInfo, error) { return a.c.GetCatalogs(a.ctx) }, "[[memory]]"},
		"schemas": {func() (*arrowflight.FlightInfo, error) {
			return a.c.GetDBSchemas(a.ctx, &flightsql.GetDBSchemasOpts{})
		}, "[[memory main]]"},
		"types": {func() (*arrowflight.FlightInfo, error) { return a.c.GetTableTypes(a.ctx) }, "[[VIEW]]"},
		"tables": {func() (*arrowflight.FlightInfo, error) {
			return a.c.GetTables(a.ctx, &flightsql.GetTablesOpts{})
		}, "[[memory main payment VIEW]]"},
		"tables by pattern": {func() (*arrowflight.FlightInfo, error) {
			p := "e%"
			return a.c.GetTables(a.ctx, &flightsql.GetTablesOpts{TableNameFilterPattern: &p})
		}, "[]"},
		"sql info": {func() (*arrowflight.FlightInfo, error) {
			return a.c.GetSqlInfo(a.ctx, []flightsql.SqlInfo{flightsql.SqlInfoFlightSqlServerReadOnly})
		}, `[[3 [1,true]]]`},
		"primary keys": {func() (*arrowflight.FlightInfo, error) {
			return a.c.GetPrimaryKeys(a.ctx, flightsql.TableRef{Table: "payment"})
		}, "[]"},
	} {
		i, err := c.ask()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		rows, _, err := a.fetch(i)
		if got := fmt.Sprint(rows); err != nil || got != c.want {
			t.Errorf("%s: got %s, %v, want %s", name, got, err, c.want)
		}
	}
	a.want("SELECT table_name FROM information_schema.tables", "[[payment]]")
	a.refused("SELECT * FROM event", codes.PermissionDenied, "event")
}

func TestPrepared_BindsValues(t *testing.T) {
	h := build(t, flight.Options{})
	h.grant("g", flight.Contract, "event")
	a := h.analyst("g")
	p, err := a.c.Prepare(a.ctx, "SELECT count(*) FROM event WHERE kind = ? AND amount_yen >= ?")
	if err != nil {
		t.Fatal(err)
	}
	if n := p.ParameterSchema().NumFields(); n != 2 {
		t.Errorf("got %d parameters, want 2", n)
	}
	run := func(kind string, yen int64) string {
		schema := arrow.NewSchema([]arrow.Field{{Name: "1", Type: arrow.BinaryTypes.String}, {Name: "2", Type: arrow.PrimitiveTypes.Int64}}, nil)
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer b.Release()
		b.Field(0).(*array.StringBuilder).Append(kind)
		b.Field(1).(*array.Int64Builder).Append(yen)
		batch := b.NewRecordBatch()
		defer batch.Release()
		p.SetParameters(batch)
		i, err := p.Execute(a.ctx)
		if err != nil {
			return err.Error()
		}
		rows, _, err := a.fetch(i)
		return fmt.Sprint(rows, err)
	}
	for i, want := range []string{"[[3000]] <nil>", "[[300]] <nil>"} {
		if got := run([]string{"pay", "cancel"}[i], 0); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := run("pay' OR '1' = '1", 0); got != "[[0]] <nil>" {
		t.Errorf("a value that looks like SQL: got %s", got)
	}
	entries := h.log("g")
	if last := entries[len(entries)-2]; last.Kind != flight.Began || !strings.Contains(last.Parameters, "'1' = '1") {
		t.Errorf("the log does not have the values: %+v", last)
	}
	if err := p.Close(a.ctx); err != nil {
		t.Error(err)
	}
	if got := run("pay", 0); !strings.Contains(got, "prepare") {
		t.Errorf("after closing: got %s", got)
	}
}

func TestAttack_NothingButTheLakeIsReached(t *testing.T) {
	h := build(t, flight.Options{})
	h.grant("g", flight.Contract, "payment", "movement")
	secret := filepath.Join(h.dir, "secret.parquet")
	m, err := h.lake.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(h.lake.Paths(m, "payments")[0])
	if err := errors.Join(err, os.WriteFile(secret, text, 0o600)); err != nil {
		t.Fatal(err)
	}
	before := files(t, h.dir)
	a := h.analyst("g")
	for _, text := range []string{
		"SELECT * FROM read_csv('/etc/passwd')",
		"SELECT * FROM read_text('/etc/passwd')",
		"SELECT * FROM read_blob('" + h.lake.Dir() + "/manifest.json')",
		"SELECT * FROM '/etc/passwd'",
		"SELECT * FROM '" + secret + "'",
		"SELECT * FROM read_parquet('" + secret + "')",
		"SELECT * FROM read_parquet('" + h.lake.Dir() + "/../secret.parquet')",
		"SELECT * FROM read_parquet('../../secret.parquet')",
		"SELECT * FROM read_parquet('" + h.lake.Paths(m, "payments")[0] + "')", // the lake's own, but not as it was granted
		"SELECT * FROM \"" + h.lake.Paths(m, "payments")[0] + "\"",
		"SELECT * FROM event",
		"SELECT * FROM parquet_metadata('" + h.lake.Paths(m, "payments")[0] + "')",
		"SELECT * FROM glob('/**')",
		"SELECT * FROM sniff_csv('/etc/passwd')",
		"SELECT * FROM query('SELECT * FROM event')",
		"SELECT * FROM query_table('event')",
		"SELECT (SELECT count(*) FROM glob('/etc/*'))",
		"SELECT * FROM payment WHERE EXISTS (WITH x AS (SELECT * FROM read_csv('/etc/passwd')) SELECT * FROM x)",
		"SELECT * FROM duckdb_settings()",
		"SELECT * FROM duckdb_views",
		"SELECT view_definition FROM information_schema.views",
		"SELECT current_setting('allowed_paths')",
		"SELECT * FROM enable_logging()",
		"DESCRIBE SELECT * FROM read_csv('/etc/passwd')",
		"SUMMARIZE '/etc/passwd'",
		"EXPLAIN SELECT * FROM read_csv('/etc/passwd')",
		"EXPLAIN ANALYZE SELECT * FROM payment",
		"CREATE TEMP TABLE x AS SELECT * FROM read_csv('/etc/passwd')",
		"CREATE TEMP TABLE x AS SELECT 1; COPY payment TO '" + h.dir + "/x.csv'",
		"CREATE TEMP TABLE payment AS SELECT 1",
		"CREATE TABLE x AS SELECT 1",
		"CREATE TEMP MACRO f() AS 1",
		"CREATE SECRET s (TYPE s3)",
		"COPY payment TO '" + h.dir + "/x.csv'",
		"COPY payment TO '" + h.lake.Dir() + "/x.parquet'",
		"COPY (SELECT 1) TO '" + h.lake.Paths(m, "payments")[0] + "'",
		"EXPORT DATABASE '" + h.dir + "/x'",
		"SELECT 1; COPY payment TO '" + h.dir + "/x.csv'",
		"SELECT 1; SELECT 2",
		"SELECT 1) LIMIT 1; COPY payment TO '" + h.dir + "/x.csv'; SELECT * FROM (SELECT 1",
		"ATTACH '" + h.dir + "/x.db'",
		"ATTACH ':memory:' AS x",
		"INSTALL httpfs",
		"LOAD httpfs",
		"SET memory_limit = '100GB'",
		"SET enable_external_access = true",
		"RESET lock_configuration",
		"PRAGMA enable_profiling",
		"PRAGMA temp_directory = '/tmp'",
		"SET temp_directory = '" + h.dir + "'",
		"CALL pragma_version()",
		"INSERT INTO payment SELECT * FROM payment",
		"UPDATE payment SET net_yen = 0",
		"DELETE FROM payment",
		"DROP VIEW payment",
		"BEGIN",
		"CHECKPOINT",
		"VACUUM",
		"USE system",
		"PREPARE x AS SELECT 1",
		"EXECUTE x",
		"SELECT * FROM json_execute_serialized_sql('{}')",
		"SELECT getenv('HOME')",
		"SELECT '" + strings.Repeat("x", 70_000) + "'",
	} {
		rows, _, err := a.query(text)
		if code := status.Code(err); code != codes.PermissionDenied && code != codes.InvalidArgument {
			t.Errorf("%.90s: got %d rows, %v", text, len(rows), err)
		}
		if _, err := a.c.ExecuteUpdate(a.ctx, text); err == nil {
			t.Errorf("%.90s: allowed as an update", text)
		}
		if _, err := a.c.Prepare(a.ctx, text); err == nil {
			t.Errorf("%.90s: allowed to be prepared", text)
		}
	}
	if got := files(t, h.dir); !slices.Equal(got, before) {
		t.Errorf("files are now %q, were %q", got, before)
	}
	a.want("SELECT count(*) FROM payment", "[[2700]]")
	if _, err := a.c.BeginTransaction(a.ctx); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a transaction: got %v", err)
	}
	a.refused("SELECT nothing FROM payment", codes.InvalidArgument, "nothing")
	a.refused("COPY payment TO 'x'", codes.PermissionDenied, "meguri metrics run")
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		names = append(names, path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return names
}

func TestLimits_EndTheStatementAndNotTheServer(t *testing.T) {
	h := build(t, flight.Options{MemoryMiB: 64, Timeout: 300 * time.Millisecond, Rows: 5000, Bytes: 1 << 20})
	h.grant("g", flight.Contract, "event")
	a := h.analyst("g")
	a.want("SELECT count(*) FROM event", "[[3300]]")
	a.refused("SELECT sum(hash(a.range * b.range) % 7) FROM range(100000) a, range(100000) b", codes.DeadlineExceeded, "300ms")
	a.refused("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r", codes.DeadlineExceeded, "stopped")
	a.refused("SELECT * FROM range(5001)", codes.ResourceExhausted, "5000 rows")
	a.refused("SELECT repeat('x', 1000) AS x FROM range(2000)", codes.ResourceExhausted, "1048576 bytes")
	if rows, _, err := a.query("SELECT * FROM range(5000)"); err != nil || len(rows) != 5000 {
		t.Errorf("at the limit: got %d rows, %v", len(rows), err)
	}
	a.want("SELECT count(*) FROM event", "[[3300]]")
	words := map[string]int{}
	for _, e := range h.log("g") {
		words[e.Outcome]++
		if e.Outcome == "too_large" && e.Kind != flight.Answered {
			t.Errorf("entry %+v", e)
		}
	}
	if words["timeout"] != 2 || words["too_large"] != 2 {
		t.Errorf("the log has %v", words)
	}
}

func TestLimits_MemoryEndsTheStatement(t *testing.T) {
	h := build(t, flight.Options{MemoryMiB: 48})
	h.grant("g", flight.Contract, "event")
	a := h.analyst("g")
	a.refused("SELECT count(*) FROM event a, event b, event c, event d WHERE a.amount_yen + b.amount_yen + c.amount_yen < d.amount_yen", codes.ResourceExhausted, "memory")
	a.refused("SELECT count(*) FROM (SELECT i, count(*) FROM range(20000000) t(i) GROUP BY i)", codes.ResourceExhausted, "memory")
	a.want("SELECT count(*) FROM event", "[[3300]]")
}

func TestLimits_SessionsOfAGrant(t *testing.T) {
	h := build(t, flight.Options{SessionsPerGrant: 1})
	h.grant("g", flight.Contract, "event")
	h.grant("other", flight.Contract, "event")
	first := h.analyst("g")
	first.want("SELECT 1", "[[1]]")
	h.analyst("g").refused("SELECT 1", codes.ResourceExhausted, "sessions")
	h.analyst("other").want("SELECT 1", "[[1]]")
	if err := first.c.Close(); err != nil {
		t.Fatal(err)
	}
	next := h.analyst("g")
	for range 500 { // until the server has seen the connection end
		if _, _, err := next.query("SELECT 1"); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the session was never given back")
}

func TestSession_TemporaryTablesAreItsOwn(t *testing.T) {
	h := build(t, flight.Options{})
	h.grant("one", flight.Contract, "payment")
	h.grant("two", flight.Contract, "payment")
	a := h.analyst("one")
	a.want("CREATE TEMP TABLE mine AS SELECT * FROM payment LIMIT 7", "[[7]]")
	if _, err := a.c.ExecuteUpdate(a.ctx, "create or replace temporary view yours as select * from mine limit 2"); err != nil {
		t.Error(err)
	}
	a.want("SELECT count(*) FROM mine", "[[7]]")
	a.want("SELECT count(*) FROM yours", "[[2]]")
	for name, b := range map[string]*analyst{
		"another analyst":                h.analyst("two"),
		"the same on another connection": h.analyst("one"),
		"another on the same connection": {t, a.c, h.analyst("two").ctx},
	} {
		if rows, _, err := b.query("SELECT * FROM mine"); status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s: got %d rows, %v", name, len(rows), err)
		}
	}
	a.want("SELECT count(*) FROM mine", "[[7]]")
}

func TestGrant_WorksBetweenItsEndsOnly(t *testing.T) {
	h := build(t, flight.Options{})
	h.grant("g", flight.Contract, "event")
	for _, token := range []string{"", "wrong"} {
		a := h.analyst(token)
		a.refused("SELECT 1", codes.Unauthenticated, "meguri analyst grant")
		if _, err := a.c.GetCatalogs(a.ctx); status.Code(err) != codes.Unauthenticated {
			t.Errorf("catalogs with %q: got %v", token, err)
		}
	}
	a := h.analyst("g")
	h.advance(-time.Minute)
	a.refused("SELECT 1", codes.PermissionDenied, "begins")
	h.advance(time.Minute)
	a.want("SELECT 1", "[[1]]")
	i, err := a.c.Execute(a.ctx, "SELECT * FROM event")
	if err != nil {
		t.Fatal(err)
	}
	h.advance(time.Hour)
	if _, _, err := a.fetch(i); status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "ended") {
		t.Errorf("a ticket from before the end: got %v", err)
	}
	a.refused("SELECT 1", codes.PermissionDenied, "ended")
	h.grant("r", flight.Contract, "event")
	b := h.analyst("r")
	b.want("SELECT 1", "[[1]]")
	if err := h.store.Revoke(context.Background(), "r", h.now()); err != nil {
		t.Fatal(err)
	}
	b.refused("SELECT 1", codes.PermissionDenied, "revoked")
	var denied []string
	for _, e := range h.log("") {
		if e.Kind == flight.Denied {
			denied = append(denied, e.Grant+" "+e.Outcome)
		}
	}
	if want := []string{"g future", "g ended", "g ended", "r revoked"}; !slices.Equal(denied, want) {
		t.Errorf("the log has %q, want %q", denied, want)
	}
}

func TestGrant_RevokedWhileAStatementRuns(t *testing.T) {
	h := build(t, flight.Options{})
	h.grant("g", flight.Contract, "event")
	a := h.analyst("g")
	a.want("SELECT 1", "[[1]]")
	h.onEntry = func(e flight.Entry) {
		if e.Kind == flight.Began {
			if err := h.store.Revoke(context.Background(), "g", h.now()); err != nil {
				t.Error(err)
			}
		}
	}
	a.refused("SELECT * FROM event", codes.PermissionDenied, "revoked")
	log := h.log("g")
	if last := log[len(log)-1]; last.Kind != flight.Answered || last.Outcome != "refused" {
		t.Errorf("the log ends with %+v", last)
	}
}

func TestServe_WithTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	h := buildWith(t, flight.Options{}, &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
	h.grant("g", flight.Contract, "event")
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	c, err := flightsql.NewClient(h.address, nil, nil, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool})))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	a := &analyst{t, c, metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer g")}
	a.want("SELECT count(*) FROM event", "[[3300]]")
	h.analyst("g").refused("SELECT 1", codes.Unavailable, "") // a client that speaks plainly
}

// TestServe_SurvivesOddMessages sends what no driver would.
func TestServe_SurvivesOddMessages(t *testing.T) {
	h := build(t, flight.Options{})
	h.grant("g", flight.Contract, "event")
	a := h.analyst("g")
	for name, send := range map[string]func() error{
		"a put without a descriptor": func() error {
			stream, err := a.c.Client.DoPut(a.ctx)
			if err != nil {
				return err
			}
			if err := errors.Join(stream.Send(&arrowflight.FlightData{}), stream.CloseSend()); err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		},
		"a ticket of noise": func() error {
			_, err := a.c.DoGet(a.ctx, &arrowflight.Ticket{Ticket: []byte("\xff\x00noise")})
			return err
		},
		"a descriptor of nothing": func() error {
			_, err := a.c.Client.GetFlightInfo(a.ctx, &arrowflight.FlightDescriptor{})
			return err
		},
		"a query of noise": func() error {
			_, err := a.c.Execute(a.ctx, "SELECT '\x00\uFFFF")
			return err
		},
		"deep parentheses": func() error {
			_, err := a.c.Execute(a.ctx, "SELECT "+strings.Repeat("(", 20_000)+"1"+strings.Repeat(")", 20_000))
			return err
		},
		"an empty query": func() error {
			_, err := a.c.Execute(a.ctx, "")
			return err
		},
	} {
		if err := send(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: got %v, want an error", name, err)
		}
	}
	a.want("SELECT 1", "[[1]]")
}

func TestGrant_Check(t *testing.T) {
	now := time.Now()
	good := flight.Grant{Name: "n", Organisation: "o", Basis: flight.Contract, Purpose: "p", Tables: []string{"event"}, From: now, Until: now.Add(time.Hour),
		Most: flight.Volume{Rows: 1, Bytes: 1}}
	if err := good.Check(now); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*flight.Grant){
		"no purpose":    func(g *flight.Grant) { g.Purpose = " " },
		"no basis":      func(g *flight.Grant) { g.Basis = "consent" },
		"no end":        func(g *flight.Grant) { g.Until = time.Time{} },
		"too long":      func(g *flight.Grant) { g.Until = now.AddDate(2, 0, 0) },
		"no table":      func(g *flight.Grant) { g.Tables = nil },
		"no rows":       func(g *flight.Grant) { g.Most.Rows = 0 },
		"no bytes":      func(g *flight.Grant) { g.Most.Bytes = -1 },
		"unknown table": func(g *flight.Grant) { g.Tables = []string{"resident"} },
	} {
		g := good
		spoil(&g)
		if g.Check(now) == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestListen_NeedsTLSBeyondTheMachine(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "example.org:0"} {
		if l, err := flight.Listen(address, false); err == nil || !strings.Contains(err.Error(), "TLS") {
			t.Errorf("%s: got %v, %v", address, l, err)
		}
	}
}

func TestLog_HasEveryStatementAndNoResult(t *testing.T) {
	h := build(t, flight.Options{})
	h.grant("g", flight.Contract, "event")
	a := h.analyst("g")
	a.want("SELECT 'se' || 'cret' AS x, count(*) FROM event", "[[secret 3300]]")
	a.refused("COPY event TO 'x'", codes.PermissionDenied, "")
	a.refused("SELECT CAST('se' || 'cret' AS INTEGER) FROM event", codes.InvalidArgument, "")
	if err := a.c.Close(); err != nil {
		t.Fatal(err)
	}
	var entries []flight.Entry
	for range 500 { // until the server has seen the connection end
		if entries = h.log("g"); entries[len(entries)-1].Kind == flight.Ended {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	var got []string
	for _, e := range entries {
		got = append(got, fmt.Sprintf("%s %s %d", e.Kind, e.Outcome, e.Rows))
		if e.Grant != "g" || e.Who != "解析 太郎 (めぐり大学)" || e.Purpose != "回遊の分析" || e.Basis != flight.Contract || e.At.IsZero() {
			t.Errorf("who and why: %+v", e)
		}
		if e.Kind != flight.Granted && (e.Session == "" || e.Client == "" || e.Snapshot != 1) {
			t.Errorf("where: %+v", e)
		}
		if strings.Contains(fmt.Sprint(e), "secret") {
			t.Errorf("a result is in the log: %+v", e)
		}
	}
	want := []string{"grant ok 0", "session ok 0", "statement ok 0", "answer ok 1", "statement refused 0", "statement ok 0", "answer error 0", "end ok 0"}
	if !slices.Equal(got, want) {
		t.Errorf("the log is %q, want %q", got, want)
	}
	if s, n := entries[2], entries[3]; s.Text != "SELECT 'se' || 'cret' AS x, count(*) FROM event" || s.Statement == "" || s.Statement != n.Statement || n.Bytes == 0 || n.Took <= 0 {
		t.Errorf("statement and answer: %+v, %+v", s, n)
	}
}

func TestLog_WithoutItNothingIsAnswered(t *testing.T) {
	for _, kind := range []flight.Kind{flight.Opened, flight.Began, flight.Answered} {
		t.Run(string(kind), func(t *testing.T) {
			h := build(t, flight.Options{})
			h.grant("g", flight.Contract, "event")
			a := h.analyst("g")
			h.failing.Store(kind, true)
			a.refused("SELECT 1", codes.Unavailable, "log")
			h.failing.Delete(kind)
			a.want("SELECT 1", "[[1]]")
		})
	}
}

func TestExport_LeavesWithLabelAndRecord(t *testing.T) {
	h := build(t, flight.Options{})
	h.grant("joint", flight.JointUse, "payment")
	h.grant("contract", flight.Contract, "payment")
	ctx := context.Background()
	x := flight.Export{Lake: h.lake, Store: shaky{h.store, h}, Now: h.now, Grant: "joint", Query: "SELECT shop, occurred_on, net_yen FROM payment",
		Out: filepath.Join(h.dir, "回遊.parquet"), Recipient: "めぐり大学", Purpose: "回遊の分析"}
	refused := x
	refused.Grant = "contract"
	if _, err := refused.Write(ctx); !errors.Is(err, flight.ErrNotJointUse) {
		t.Errorf("under a contract: got %v", err)
	}
	for name, spoil := range map[string]func(*flight.Export){
		"no recipient": func(x *flight.Export) { x.Recipient = "" },
		"a file":       func(x *flight.Export) { x.Query = "SELECT * FROM read_csv('/etc/passwd')" },
		"no table":     func(x *flight.Export) { x.Query = "SELECT * FROM event" },
		"a copy":       func(x *flight.Export) { x.Query = "COPY payment TO 'x'" },
		"too many":     func(x *flight.Export) { x.Rows = 10 },
		"not for this": func(x *flight.Export) { x.Purpose = "広告" },
	} {
		spoilt := x
		spoil(&spoilt)
		if _, err := spoilt.Write(ctx); err == nil {
			t.Errorf("%s: exported", name)
		}
	}
	h.failing.Store(flight.Provision, true)
	if _, err := x.Write(ctx); err == nil {
		t.Error("exported without a record")
	}
	h.failing.Delete(flight.Provision)
	if left, err := filepath.Glob(filepath.Join(h.dir, "*.parquet")); err != nil || len(left) > 0 {
		t.Errorf("refused exports left %q, %v", left, err)
	}
	done, err := x.Write(ctx)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(h.dir, "回遊.仮名加工情報.parquet"))
	if err != nil || done.File != filepath.Join(h.dir, "回遊.仮名加工情報.parquet") {
		t.Fatalf("%s: %v", done.File, err)
	}
	if sum := sha256.Sum256(text); done.SHA256 != hex.EncodeToString(sum[:]) || done.Bytes != int64(len(text)) || done.Rows != 2700 {
		t.Errorf("the record does not fit the file: %+v", done)
	}
	r, err := file.NewParquetReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if v := r.MetaData().KeyValueMetadata().FindValue("label"); v == nil || *v != lake.Label || r.NumRows() != 2700 {
		t.Errorf("label %v, %d rows", v, r.NumRows())
	}
	log := h.log("joint")
	if last := log[len(log)-1]; last.Kind != flight.Provision || last.Recipient != "めぐり大学" || last.SHA256 != done.SHA256 || last.Outcome != "ok" {
		t.Errorf("the log ends with %+v", last)
	}
	if _, err := x.Write(ctx); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("a second time: got %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(h.dir, ".export-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
