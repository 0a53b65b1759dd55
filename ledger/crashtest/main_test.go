package crashtest

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"meguri/internal/pgserver"
	"meguri/internal/sqldb"
)

var (
	roundsFlag = flag.Int("crash.rounds", 30, "how many kills; the whole run in CI always has 200")
	seedFlag   = flag.Uint64("crash.seed", 0, "repeat the choices of a failing run; 0 draws new ones")
)

// TestMain is the tests, or the program that they kill.
func TestMain(m *testing.M) {
	if text := os.Getenv(workerEnv); text != "" {
		os.Exit(work(text))
	}
	flag.Parse()
	code := m.Run()
	if shared.server != nil {
		shared.server.Stop()
	}
	os.Exit(code)
}

// ci reports whether nothing may be skipped, and full whether nothing may be made
// smaller either: what -short or the race detector runs in CI is the second time.
func ci() bool   { return os.Getenv("CI") == "true" }
func full() bool { return ci() && !testing.Short() && !raced }

// sized is the size of a test: less of it where it need not be full.
func sized(t testing.TB, what string, small, whole int) int {
	if full() {
		return whole
	}
	t.Logf("%d %s; with CI=true, and neither -short nor -race, %d", small, what, whole)
	return small
}

// seeded returns the source of a test's choices.
func seeded(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with -crash.seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// startServer starts a PostgreSQL server that keeps what it promises. Without
// PostgreSQL's programs the test is skipped; with CI=true that fails.
func startServer(t testing.TB) *pgserver.Server {
	t.Helper()
	s, err := pgserver.Start("", "fsync=on", "synchronous_commit=on", "max_connections=200")
	needServer(t, err)
	t.Cleanup(s.Stop)
	return s
}

func needServer(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, pgserver.ErrAbsent) && !ci() {
		t.Skip("PostgreSQL is not installed: its crashes are not tested")
	}
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
}

var shared struct {
	once   sync.Once
	server *pgserver.Server
	err    error
}

// sharedServer is a server for the tests that leave it alone.
func sharedServer(t testing.TB) *pgserver.Server {
	t.Helper()
	shared.once.Do(func() {
		shared.server, shared.err = pgserver.Start("", "fsync=on", "synchronous_commit=on", "max_connections=200")
	})
	needServer(t, shared.err)
	return shared.server
}

// newDatabase makes an empty database on a server and returns its address.
func newDatabase(t testing.TB, s *pgserver.Server) string {
	t.Helper()
	admin, err := sql.Open("pgx", s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close() }() // nothing to lose
	name := fmt.Sprintf("d%d", time.Now().UnixNano())
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	address, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	address.Path = "/" + name
	return address.String()
}

// through is the address of a database behind a proxy.
func through(t testing.TB, address string, p *proxy) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = p.address()
	return u.String()
}

// onBoth runs a test on a new database of each engine.
func onBoth(t *testing.T, test func(t *testing.T, address string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newFile(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, newDatabase(t, sharedServer(t))) })
}

// newFile is the path of a SQLite file to be.
func newFile(t testing.TB) string { return filepath.Join(t.TempDir(), "ledger.sqlite") }

func open(t testing.TB, address string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(context.Background(), address)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// eventually waits for a condition, for as long as a slow machine may need.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("waited a minute for %s", what)
}
