// Package flight lets an analyst from outside work inside the lake: an Arrow
// Flight SQL server for those who have a [Grant]. Start with [New] and
// [Server.Serve]; [Export] is the one way in which rows leave in a file.
//
// What it promises:
//
//   - Deny by default. Every call bears a token; the grant behind it is looked
//     up each time, and works between its beginning and its end unless it was
//     revoked. An answer is checked once more before it leaves.
//   - A session is one analyst on one connection. It has a DuckDB of its own,
//     with one snapshot of the lake, its own memory and its own temporary
//     tables; nothing is shared with another session but the lake's files,
//     which nobody can write. One database for all would be cheaper by a few
//     milliseconds and megabytes, but then one analyst's query could take
//     another's memory, and what keeps them apart would be a catalogue's rules.
//   - Nothing runs that is not in the log before, and nothing is sent that is
//     not in the log with its size. Where the log cannot be written, nothing
//     is answered. The log has no results.
//   - An answer is whole or an error. One of too many rows or bytes is not cut.
//   - Each batch bears the label 仮名加工情報 in its schema's metadata.
//
// A statement is text from a stranger that runs in this process. What DuckDB
// itself would do wrong with it, this package cannot prevent; run the server
// as a process and user of its own that can read the lake and nothing else.
package flight

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"

	"meguri/pseudonymize/lake"
)

// Options are what a server is made of, and its limits. A limit of zero is the
// one named beside it.
type Options struct {
	Lake   *lake.Lake
	Store  Store
	Digest func(token string) string // what the store keeps of a token
	Now    func() time.Time
	Logger *slog.Logger

	MemoryMiB        int           // of each session: 512
	Threads          int           // of each session: 2
	Timeout          time.Duration // of a statement: 60 s
	Rows             int64         // of an answer: 100,000
	Bytes            int64         // of an answer: 64 MiB
	Sessions         int           // of all grants: 8
	SessionsPerGrant int           // 4
	Idle             time.Duration // after which a connection is closed: 30 min
}

func (o Options) withDefaults() Options {
	o.MemoryMiB = orElse(o.MemoryMiB, 512)
	o.Threads = orElse(o.Threads, 2)
	o.Timeout = orElse(o.Timeout, time.Minute)
	o.Rows = orElse(o.Rows, 100_000)
	o.Bytes = orElse(o.Bytes, 64<<20)
	o.Sessions = orElse(o.Sessions, 8)
	o.SessionsPerGrant = orElse(o.SessionsPerGrant, 4)
	o.Idle = orElse(o.Idle, 30*time.Minute)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func orElse[T int | int64 | time.Duration](n, other T) T {
	if n == 0 {
		return other
	}
	return n
}

// Server answers analysts.
type Server struct {
	flightsql.BaseServer
	o    Options
	grpc *grpc.Server

	mu          sync.Mutex
	connections map[*connection]bool
	sessions    int            // open or being opened
	perGrant    map[string]int // the same, by grant
	ending      sync.WaitGroup // sessions that are being closed
}

// New makes a server. Without a certificate it must be given a listener on the
// machine itself only, which Listen sees to.
func New(o Options, certificate *tls.Certificate) (*Server, error) {
	s := &Server{o: o.withDefaults(), connections: map[*connection]bool{}, perGrant: map[string]int{}}
	if err := s.describe(); err != nil {
		return nil, fmt.Errorf("make analysts' server: %w", err)
	}
	options := []grpc.ServerOption{
		grpc.StatsHandler(watcher{s}),
		grpc.ChainUnaryInterceptor(s.unary),
		grpc.ChainStreamInterceptor(s.stream),
		grpc.MaxConcurrentStreams(32),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: s.o.Idle}),
	}
	if certificate != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(&tls.Config{
			Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}})))
	}
	s.grpc = grpc.NewServer(options...)
	arrowflight.RegisterFlightServiceServer(s.grpc, flightsql.NewFlightServer(s))
	return s, nil
}

// Listen opens the address of a server. One without TLS is only for programs on
// the same machine: tokens and rows would cross the network for all to read.
func Listen(address string, withTLS bool) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	if ip := net.ParseIP(host); !withTLS && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("listen on %s: without TLS only on 127.0.0.1, ::1 or localhost: give --tls-cert and --tls-key", address)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}

// Serve answers calls until Stop.
func (s *Server) Serve(l net.Listener) error { return s.grpc.Serve(l) }

// Stop lets running calls end for a while, and then ends all sessions.
func (s *Server) Stop() {
	done := make(chan struct{})
	go func() { s.grpc.GracefulStop(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		s.grpc.Stop()
		<-done
	}
	s.mu.Lock()
	var left []*connection
	for c := range s.connections {
		left = append(left, c)
	}
	s.mu.Unlock()
	for _, c := range left {
		s.disconnect(c)
	}
	s.ending.Wait()
}

// connection is what an analyst's program has opened. Its sessions are by
// grant: behind a proxy several analysts may share it, and never a session.
type connection struct {
	client   string
	mu       sync.Mutex
	closed   bool
	sessions map[string]*session
}

type connectionKey struct{}
type grantKey struct{}

// watcher is told when connections come and go.
type watcher struct{ s *Server }

// TagConn implements stats.Handler.
func (w watcher) TagConn(ctx context.Context, i *stats.ConnTagInfo) context.Context {
	c := &connection{client: i.RemoteAddr.String(), sessions: map[string]*session{}}
	w.s.mu.Lock()
	w.s.connections[c] = true
	w.s.mu.Unlock()
	return context.WithValue(ctx, connectionKey{}, c)
}

// HandleConn implements stats.Handler.
func (w watcher) HandleConn(ctx context.Context, e stats.ConnStats) {
	if _, over := e.(*stats.ConnEnd); over {
		if c, ok := ctx.Value(connectionKey{}).(*connection); ok {
			w.s.disconnect(c)
		}
	}
}

// TagRPC implements stats.Handler.
func (watcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements stats.Handler.
func (watcher) HandleRPC(context.Context, stats.RPCStats) {}

// unary lets a call through that bears a token in force.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (_ any, err error) {
	defer s.recover(info.FullMethod, &err)
	if ctx, err = s.admit(ctx); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

// stream does the same for a call that streams.
func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer s.recover(info.FullMethod, &err)
	ctx, err := s.admit(ss.Context())
	if err != nil {
		return err
	}
	return next(srv, admitted{ss, ctx})
}

// admitted is a stream whose context knows the grant.
type admitted struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (a admitted) Context() context.Context { return a.ctx }

// recover turns a panic over somebody's odd message into an error of that call.
func (s *Server) recover(method string, err *error) {
	if p := recover(); p != nil {
		s.o.Logger.Error("call panicked", "method", method, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		*err = say(codes.Internal, "サーバー内部のエラーです。事務局にご連絡ください。", "internal error: tell the office")
	}
}

// admit finds the grant of a call.
func (s *Server) admit(ctx context.Context) (context.Context, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	values := md.Get("authorization")
	if len(values) != 1 {
		return nil, errNoToken
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return nil, errNoToken
	}
	digest := s.o.Digest(token)
	g, err := s.o.Store.GrantByToken(ctx, digest)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && subtle.ConstantTimeCompare([]byte(g.TokenDigest), []byte(digest)) != 1:
		s.o.Logger.Warn("analyst's token is unknown", "client", client(ctx))
		return nil, errNoToken
	case err != nil:
		s.o.Logger.Error("look up grant", "error", err.Error())
		return nil, errNoStore
	}
	if err := s.inForce(ctx, g); err != nil {
		return nil, err
	}
	return context.WithValue(ctx, grantKey{}, g), nil
}

// inForce returns, and enters in the log, why a grant does not work.
func (s *Server) inForce(ctx context.Context, g Grant) error {
	now := s.o.Now()
	state := g.State(now)
	if state == "active" {
		return nil
	}
	e := g.entry(Denied, now)
	e.Outcome, e.Client = state, client(ctx)
	if err := s.o.Store.Append(ctx, e); err != nil {
		s.o.Logger.Error("append to the analysts' log", "error", err.Error())
	}
	return errNotInForce(g, state)
}

func client(ctx context.Context) string {
	if c, ok := ctx.Value(connectionKey{}).(*connection); ok {
		return c.client
	}
	return ""
}

// label is what the schema of every answer says, as the lake's files do.
func label(schema *arrow.Schema, snapshot int64) *arrow.Schema {
	md := arrow.NewMetadata([]string{"label", "snapshot"}, []string{lake.Label, fmt.Sprint(snapshot)})
	return arrow.NewSchema(schema.Fields(), &md)
}
