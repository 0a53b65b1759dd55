// Package pgserver runs a PostgreSQL server of its own in a folder, for tests
// and benchmarks. Start with [Start].
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrAbsent: PostgreSQL's programs are not installed, or there is no user who
// may run them.
var ErrAbsent = errors.New("initdb and postgres were not found")

// Server is a running PostgreSQL server.
type Server struct {
	URL string // of a database that is empty at first

	dir      string
	bin      string
	port     int
	settings []string
	attr     *syscall.SysProcAttr
	cmd      *exec.Cmd
}

// Start makes a cluster in a new folder below dir ("" is the system's temporary
// folder) and starts it on a free port. Settings are as in postgresql.conf, for
// example "fsync=off". Stop stops it and removes the folder.
func Start(dir string, settings ...string) (*Server, error) {
	bin, err := findPrograms()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, settings: settings}
	if s.dir, err = os.MkdirTemp(dir, "meguri-postgres-"); err != nil {
		return nil, err
	}
	if s.attr, err = unprivileged(s.dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", s.data(), "-U", "meguri", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.SysProcAttr, initdb.Dir = s.attr, s.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w\n%s", err, out), os.RemoveAll(s.dir))
	}
	if s.port, err = freePort(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	s.URL = (&url.URL{
		Scheme: "postgres", User: url.User("meguri"), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path: "/postgres", RawQuery: "sslmode=disable",
	}).String()
	if err := s.Restart(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Restart starts a server that was killed, and waits until it answers.
func (s *Server) Restart() error {
	args := []string{"-D", s.data(), "-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + s.dir}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the server has its own
	s.cmd = exec.Command(filepath.Join(s.bin, "postgres"), args...)
	s.cmd.SysProcAttr, s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.attr, s.dir, log, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	return s.Await()
}

// Await waits until the server answers.
func (s *Server) Await() error {
	var err error
	for range 300 {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		var conn *pgx.Conn
		if conn, err = pgx.Connect(ctx, s.URL); err == nil {
			_ = conn.Close(ctx) // it answered
			cancel()
			return nil
		}
		cancel()
		time.Sleep(100 * time.Millisecond)
	}
	text, _ := os.ReadFile(filepath.Join(s.dir, "log")) // what it says, if it said anything
	return fmt.Errorf("PostgreSQL did not come up: %w\n%s", err, text)
}

// PID is that of the postmaster.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Kill kills the postmaster and all its children at once, as a crash does.
func (s *Server) Kill() {
	children := s.Children()
	_ = s.cmd.Process.Kill() // it is gone if this fails
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = s.cmd.Wait() // it was killed
	// What a killed postmaster leaves would keep the next one from starting.
	_ = os.Remove(filepath.Join(s.data(), "postmaster.pid"))
}

// Children are the server's processes but the postmaster.
func (s *Server) Children() (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // none where there is no /proc
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(s.PID()) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// CPU is the processor time that the server and its processes have used, in
// seconds; 0 where the system does not tell.
func (s *Server) CPU() float64 {
	seconds := processCPU(s.PID(), 4) // with that of children that have ended
	for _, pid := range s.Children() {
		seconds += processCPU(pid, 2)
	}
	return seconds
}

// ProcessCPU is the processor time that a process has used, in seconds; 0 where
// the system does not tell.
func ProcessCPU(pid int) float64 { return processCPU(pid, 2) }

// processCPU adds up the first n of: user, system, children's user, children's
// system time.
func processCPU(pid, n int) (seconds float64) {
	const ticks = 100 // a second, on every Linux
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	if fields := strings.Fields(rest); len(fields) > 14 {
		for _, f := range fields[11 : 11+n] {
			t, _ := strconv.ParseFloat(f, 64)
			seconds += t / ticks
		}
	}
	return seconds
}

// Stop stops the server and removes its folder.
func (s *Server) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGINT) // fast shutdown
	_ = s.cmd.Wait()
	_ = os.RemoveAll(s.dir)
}

// findPrograms finds the newest server among Debian's folders and PATH.
func findPrograms() (string, error) {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.Reverse(dirs)
	if initdb, err := exec.LookPath("initdb"); err == nil {
		dirs = append(dirs, filepath.Dir(initdb))
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
			return dir, nil
		}
	}
	return "", ErrAbsent
}

// unprivileged gives dir to the user postgres when the tests run as root,
// since a server refuses to be root.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAbsent, err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, err
	}
	if err := l.Close(); err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}
