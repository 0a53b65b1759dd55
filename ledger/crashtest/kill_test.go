package crashtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"meguri/internal/pgserver"
	"meguri/ledger"
)

// C2: kill -9 of the program, of a backend of the database server and of the
// whole server, again and again on one ledger, while 64 clients send.
func TestKill_WhatWasAnsweredStands(t *testing.T) {
	rounds := sized(t, "rounds of kills", *roundsFlag, 200)
	t.Run("sqlite", func(t *testing.T) {
		b := openBooks(t, newFile(t))
		kills(t, b, rounds*2/5, func(r *rand.Rand, round int, w *worker, _, _ string) {
			w.kill()
		}, func(round int) {
			// A file that nobody has open is recovered by the next one that opens it;
			// one that somebody has open is not.
			if b.close(); round%2 == 0 {
				b.open(t)
			}
		})
	})
	t.Run("postgres", func(t *testing.T) {
		server := startServer(t)
		b := openBooks(t, newDatabase(t, server))
		kills(t, b, rounds-rounds*2/5, func(r *rand.Rand, round int, w *worker, dir, name string) {
			defer w.kill()
			switch round % 3 {
			case 0:
				return
			case 1:
				killBackend(t, server, r)
			case 2:
				crash(t, server)
				if err := server.Restart(); err != nil {
					t.Fatal(err)
				}
			}
			if round%2 == 0 {
				before := answers(dir, name)
				eventually(t, "answers after the server's restart", func() bool { return answers(dir, name) > before })
			}
			if round%4 < 2 {
				w.dismiss(t) // so that everything is answered
			}
		}, func(int) {})
	})
}

// kills does rounds of: 64 clients, a kill, and a look at what is left.
func kills(t *testing.T, b *books, rounds int, kill func(r *rand.Rand, round int, w *worker, dir, name string), before func(round int)) {
	r := seeded(t)
	started := time.Now()
	for round := range rounds {
		before(round)
		name := fmt.Sprintf("k%d", round)
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		w := hire(t, assignment{Database: b.address, Logs: dir, Name: name, Clients: 64, Seed: r.Uint64()})
		eventually(t, "the first answers", func() bool { return answers(dir, name) > 0 })
		time.Sleep(time.Duration(r.Int64N(int64(200 * time.Millisecond))))
		kill(r, round, w, dir, name)
		b.breaks++
		if b.db == nil {
			b.open(t)
		}
		b.settle(t, dir, name)
		if round%10 == 9 {
			b.verify(t)
		}
	}
	b.verify(t)
	t.Logf("%v, in %v", b.figures, time.Since(started).Round(time.Second))
}

// Who reads while the database is away hears that it is, and reads again when
// it is back.
func TestKill_AReadSaysThatTheDatabaseIsAway(t *testing.T) {
	server := startServer(t)
	b := openBooks(t, newDatabase(t, server))
	reads := map[string]func() error{
		"a balance":   func() error { _, err := b.store.Balance(t.Context(), "no-such"); return err },
		"balances":    func() error { _, err := b.store.BalancesOf(t.Context(), "nobody"); return err },
		"the end":     func() error { _, err := b.store.End(t.Context()); return err },
		"all clients": func() error { _, err := b.store.AllClients(t.Context()); return err },
		"opening accounts": func() error {
			return b.store.OpenAccounts(t.Context(), ledger.Account{ID: "new", Kind: ledger.ShopPayable})
		},
	}
	crash(t, server)
	for name, read := range reads {
		for range 2 { // on a connection that was good, and on a new one
			if err := read(); !errors.Is(err, ledger.ErrUnavailable) {
				t.Errorf("%s: got %v, want %v", name, err, ledger.ErrUnavailable)
			}
		}
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "answers", func() bool { return reads["the end"]() == nil })
}

// killBackend kills one process of the server that serves a client. The
// postmaster then ends all others and recovers.
func killBackend(t *testing.T, s *pgserver.Server, r *rand.Rand) {
	t.Helper()
	var serving []int
	for _, pid := range s.Children() {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.Contains(string(line), "127.0.0.1(") {
			serving = append(serving, pid)
		}
	}
	if len(serving) == 0 {
		t.Fatal("no process of the server serves anybody")
	}
	_ = syscall.Kill(serving[r.IntN(len(serving))], syscall.SIGKILL) // it was there
}

// crash kills the server as a whole. The postmaster is stopped first: a child
// that it made in between would live on and write into what the next one opens.
func crash(t *testing.T, s *pgserver.Server) {
	t.Helper()
	if err := syscall.Kill(s.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the postmaster to stop", func() bool { return state(s.PID()) == "T" })
	children := s.Children()
	s.Kill()
	eventually(t, "the children's end", func() bool {
		for _, pid := range children {
			if at := state(pid); at != "" && at != "Z" {
				return false
			}
		}
		return true
	})
}

// state is that of a process, as in ps: "T" is stopped, "" is gone.
func state(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest[:1]
}
