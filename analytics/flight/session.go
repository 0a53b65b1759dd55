package flight

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/uuid"

	"meguri/analytics/duck"
)

// session is one analyst on one connection.
type session struct {
	s       *Server
	id      string
	grant   Grant // as it was when the session began
	client  string
	sandbox *duck.Sandbox

	turn       chan struct{}        // holds one token; who has it may use what follows
	prepared   map[string]*prepared // by handle
	statements atomic.Int64
	closed     bool
}

// prepared is a statement with the values that were bound to it.
type prepared struct {
	text string
	args []any
}

// mostPrepared is how many prepared statements a session keeps.
const mostPrepared = 64

// session returns the session of a call, which it opens if need be.
func (s *Server) session(ctx context.Context) (*session, error) {
	c, ok := ctx.Value(connectionKey{}).(*connection)
	g, granted := ctx.Value(grantKey{}).(Grant)
	if !ok || !granted {
		return nil, errNoToken
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errEnded
	}
	if found := c.sessions[g.ID]; found != nil {
		return found, nil
	}
	if !s.reserve(g.ID) {
		return nil, errSessions
	}
	opened, err := s.open(ctx, c, g)
	if err != nil {
		s.free(g.ID)
		return nil, err
	}
	c.sessions[g.ID] = opened
	return opened, nil
}

func (s *Server) reserve(grant string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions >= s.o.Sessions || s.perGrant[grant] >= s.o.SessionsPerGrant {
		return false
	}
	s.sessions++
	s.perGrant[grant]++
	return true
}

func (s *Server) free(grant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions--
	if s.perGrant[grant]--; s.perGrant[grant] == 0 {
		delete(s.perGrant, grant)
	}
}

func (s *Server) open(ctx context.Context, c *connection, g Grant) (*session, error) {
	sandbox, err := duck.OpenSandbox(ctx, s.o.Lake, duck.SandboxOptions{MemoryMiB: s.o.MemoryMiB, Threads: s.o.Threads, Tables: g.Tables})
	if err != nil {
		s.o.Logger.Error("open analyst's session", "error", err.Error())
		return nil, errNoLake
	}
	opened := &session{s: s, id: uuid.NewString(), grant: g, client: c.client, sandbox: sandbox,
		turn: make(chan struct{}, 1), prepared: map[string]*prepared{}}
	opened.turn <- struct{}{}
	e := opened.entry(Opened)
	e.Outcome = "ok"
	if err := s.append(ctx, e); err != nil {
		_ = sandbox.Close() // nothing was done in it
		return nil, err
	}
	return opened, nil
}

// append enters something in the log, or nothing goes on.
func (s *Server) append(ctx context.Context, e Entry) error { return s.enter(ctx, e, s.o.Store.Append) }

func (s *Server) enter(ctx context.Context, e Entry, how func(context.Context, Entry) error) error {
	// Whoever hangs up must not keep his statement out of the log.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := how(ctx, e)
	if err != nil && !errors.Is(err, ErrUsedUp) {
		s.o.Logger.Error("append to the analysts' log", "error", err.Error())
		return errNoLog
	}
	return err
}

// take enters an answer that is about to leave and counts it, or enters that it
// may not leave.
func (s *Server) take(ctx context.Context, e Entry) error {
	err := s.enter(ctx, e, s.o.Store.Take)
	if !errors.Is(err, ErrUsedUp) {
		return err
	}
	var told error
	e.Outcome, told = outcome(err, 0)
	if err := s.append(ctx, e); err != nil {
		return err
	}
	return told
}

func (c *session) entry(kind Kind) Entry {
	e := c.grant.entry(kind, c.s.o.Now())
	e.Session, e.Client, e.Snapshot = c.id, c.client, c.sandbox.Manifest().Snapshot
	return e
}

// disconnect ends the sessions of a connection.
func (s *Server) disconnect(c *connection) {
	s.mu.Lock()
	delete(s.connections, c)
	s.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for id, open := range c.sessions {
		delete(c.sessions, id)
		s.ending.Add(1)
		go func() {
			defer s.ending.Done()
			open.close()
		}()
	}
}

// close waits for the statement that is running, whose call has ended with the
// connection, and ends the session.
func (c *session) close() {
	<-c.turn
	c.closed = true
	c.turn <- struct{}{}
	if err := c.sandbox.Close(); err != nil {
		c.s.o.Logger.Error("close analyst's session", "error", err.Error())
	}
	c.s.free(c.grant.ID)
	e := c.entry(Ended)
	e.Outcome = "ok"
	_ = c.s.append(context.Background(), e) // it is logged there, and there is nothing to refuse
}

// use has one call at a time use the session, no longer than a statement may
// take and the grant lasts.
func (c *session) use(ctx context.Context, work func(context.Context) error) error {
	now := c.s.o.Now()
	ctx, cancel := context.WithTimeout(ctx, min(c.s.o.Timeout, c.grant.Until.Sub(now)))
	defer cancel()
	select {
	case <-c.turn:
	case <-ctx.Done():
		_, err := outcome(ctx.Err(), c.s.o.Timeout)
		return err
	}
	defer func() { c.turn <- struct{}{} }()
	if c.closed {
		return errEnded
	}
	return work(ctx)
}

// check reads a statement. One that is refused is entered in the log, since
// somebody tried.
func (c *session) check(ctx context.Context, text string) (duck.Statement, error) {
	st, err := c.sandbox.Check(ctx, text)
	if err == nil {
		return st, nil
	}
	e := c.entry(Began)
	e.Text = clip(text)
	word, told := outcome(err, c.s.o.Timeout)
	e.Outcome = word
	if err := c.s.append(ctx, e); err != nil {
		return st, err
	}
	return st, told
}

// clip keeps a text that is too long to run from filling the log.
func clip(text string) string {
	const most = 64 << 10
	if len(text) > most {
		return text[:most] + fmt.Sprintf(" … (%d bytes)", len(text))
	}
	return text
}

// schema says what an answer will look like; nil is not known before it runs.
func (c *session) schema(ctx context.Context, text string, args []any) (found *arrow.Schema, st duck.Statement, err error) {
	err = c.use(ctx, func(ctx context.Context) error {
		if st, err = c.check(ctx, text); err != nil {
			return err
		}
		found, err = c.sandbox.Schema(ctx, st, args)
		if err != nil && args == nil && st.Parameters > 0 {
			found, err = nil, nil // it needs the values
		}
		_, err = outcome(err, c.s.o.Timeout)
		return err
	})
	if found != nil {
		found = label(found, c.sandbox.Manifest().Snapshot)
	}
	return found, st, err
}

// answer is the whole of what a statement gave.
type answer struct {
	schema  *arrow.Schema
	batches []arrow.RecordBatch
	rows    int64
	bytes   int64
}

func (a *answer) release() {
	for _, b := range a.batches {
		b.Release()
	}
	a.batches = nil
}

// run runs a statement, and enters it in the log before and after. The answer
// is held until both are done, within its limits; then it may be sent.
func (c *session) run(ctx context.Context, text string, args []any) (a *answer, err error) {
	err = c.use(ctx, func(ctx context.Context) error {
		st, err := c.check(ctx, text)
		if err != nil {
			return err
		}
		began := c.entry(Began)
		began.Statement = c.id + "/" + strconv.FormatInt(c.statements.Add(1), 10)
		began.Text, began.Parameters = text, parameters(args)
		var full error
		began.Outcome, full = c.room(ctx)
		if err := c.s.append(ctx, began); err != nil || full != nil {
			return cmp.Or(err, full)
		}
		start := time.Now()
		a = &answer{}
		err = c.collect(ctx, st, args, a)
		ended := c.entry(Answered)
		ended.Statement, ended.Rows, ended.Bytes, ended.Took = began.Statement, a.rows, a.bytes, time.Since(start)
		ended.Outcome, err = outcome(err, c.s.o.Timeout)
		if err == nil {
			err = c.stillInForce(ctx)
			if err != nil {
				ended.Outcome = "refused"
			}
		}
		if err == nil {
			return c.s.take(ctx, ended)
		}
		if logged := c.s.append(ctx, ended); logged != nil {
			return logged
		}
		return err
	})
	if err != nil && a != nil {
		a.release()
		a = nil
	}
	return a, err
}

// room says whether anything more may leave, before the work of making it. The
// store has the last word.
func (c *session) room(ctx context.Context) (word string, told error) {
	g, err := c.s.o.Store.Grant(ctx, c.grant.ID)
	switch {
	case err != nil:
		return "error", errNoStore
	case !g.Room():
		return outcome(ErrUsedUp, 0)
	}
	return "ok", nil
}

// stillInForce looks the grant up once more.
func (c *session) stillInForce(ctx context.Context) error {
	g, err := c.s.o.Store.Grant(ctx, c.grant.ID)
	if err != nil {
		return errNoStore
	}
	return c.s.inForce(ctx, g)
}

func (c *session) collect(ctx context.Context, st duck.Statement, args []any, a *answer) error {
	if len(args) != st.Parameters {
		return fmt.Errorf("the statement has %d parameters, and %d values are bound", st.Parameters, len(args))
	}
	snapshot := c.sandbox.Manifest().Snapshot
	return c.sandbox.Run(ctx, st, args, c.s.o.Rows,
		func(schema *arrow.Schema) error { a.schema = label(schema, snapshot); return nil },
		func(b arrow.RecordBatch) error {
			a.rows += b.NumRows()
			a.bytes += size(b)
			switch {
			case a.rows > c.s.o.Rows:
				return &tooLarge{c.s.o.Rows, [2]string{"行", "rows"}}
			case a.bytes > c.s.o.Bytes:
				return &tooLarge{c.s.o.Bytes, [2]string{"バイト", "bytes"}}
			}
			a.batches = append(a.batches, array.NewRecordBatch(a.schema, b.Columns(), b.NumRows()))
			return nil
		})
}

// size is how many bytes of memory a batch takes.
func size(b arrow.RecordBatch) (n int64) {
	for _, column := range b.Columns() {
		n += dataSize(column.Data())
	}
	return n
}

func dataSize(d arrow.ArrayData) (n int64) {
	for _, b := range d.Buffers() {
		if b != nil {
			n += int64(b.Len())
		}
	}
	for _, child := range d.Children() {
		n += dataSize(child)
	}
	return n
}

// parameters are the bound values as the log keeps them.
func parameters(args []any) string {
	if len(args) == 0 {
		return ""
	}
	text, err := json.Marshal(args)
	if err != nil {
		return fmt.Sprint(args...)
	}
	return clip(string(text))
}
