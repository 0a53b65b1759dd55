package duck

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"meguri/pseudonymize/lake"
)

// TestSandbox_HoldsWithoutItsFirstWall runs statements as if the parser had let
// them through: DuckDB's own settings must stop them.
func TestSandbox_HoldsWithoutItsFirstWall(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	secret := filepath.Join(dir, "secret.csv")
	if err := os.WriteFile(secret, []byte("a\n1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := OpenSandbox(ctx, lake.Open(filepath.Join(dir, "lake")), SandboxOptions{Tables: SandboxTables})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	called := make(chan struct{})
	go func() {
		defer close(called)
		if c, err := l.Accept(); err == nil {
			t.Error("somebody called over the network")
			_ = c.Close() // it is a failure already
		}
	}()
	defer func() {
		_ = l.Close() // Accept returns
		<-called
	}()
	for _, text := range []string{
		"SELECT * FROM read_csv('http://" + l.Addr().String() + "/x.csv')",
		"SELECT * FROM read_parquet('http://" + l.Addr().String() + "/x.parquet')",
		"SELECT * FROM 'https://" + l.Addr().String() + "/x.parquet'",
		"SELECT * FROM read_parquet('s3://bucket/x.parquet')",
		"ATTACH 'http://" + l.Addr().String() + "/x.db'",
		"COPY (SELECT 1) TO 'http://" + l.Addr().String() + "/x.csv'",
		"INSTALL httpfs FROM 'http://" + l.Addr().String() + "'",
		"LOAD '" + filepath.Join(dir, "x.duckdb_extension") + "'",
		"SET threads = 64",
		"SET custom_extension_repository = 'http://" + l.Addr().String() + "'",
		"SELECT * FROM read_csv('" + secret + "')",
		"SELECT * FROM read_text('/etc/passwd')",
		"SELECT * FROM glob('/*')",
		"COPY (SELECT 1) TO '" + filepath.Join(dir, "out.csv") + "'",
		"COPY (SELECT 1) TO '" + filepath.Join(dir, "lake", "out.parquet") + "'",
		"EXPORT DATABASE '" + filepath.Join(dir, "out") + "'",
		"ATTACH '" + filepath.Join(dir, "other.db") + "'",
		"INSTALL httpfs",
		"LOAD httpfs",
		"SET enable_external_access = true",
		"SET memory_limit = '10GB'",
		"SET temp_directory = '" + dir + "'",
		"SET allowed_paths = ['" + secret + "']",
		"RESET lock_configuration",
		"SELECT getenv('HOME')",
	} {
		if _, err := s.conn.ExecContext(ctx, text); err == nil {
			t.Errorf("%s was allowed", text)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 1 {
		t.Errorf("the folder has %q, %v", left, err)
	}
}

func TestSandbox_ReadsAnEmptyLake(t *testing.T) {
	ctx := context.Background()
	s, err := OpenSandbox(ctx, lake.Open(filepath.Join(t.TempDir(), "lake")), SandboxOptions{Tables: SandboxTables})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, table := range SandboxTables {
		st, err := s.Check(ctx, "SELECT * FROM "+table)
		if err != nil {
			t.Fatal(err)
		}
		if schema, err := s.Schema(ctx, st, nil); err != nil || schema.NumFields() < 10 {
			t.Errorf("%s: got %v, %v", table, schema, err)
		}
	}
}
