package crashtest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between a program and PostgreSQL and sees every message of their
// protocol. A hook says what becomes of each.
type proxy struct {
	l      net.Listener
	target string

	mu    sync.Mutex
	hook  func(*packet) verdict // nil lets everything pass
	enter func() bool           // whether a new connection is let in; nil lets in all
	links map[*link]bool
	wg    sync.WaitGroup
}

// link is one connection, on both sides.
type link struct {
	client, server net.Conn
	writes         map[string]bool // the prepared statements that write a batch
	status         atomic.Int32    // of the transaction: 'I' none, 'T' in one, as the server said last
	writing        atomic.Bool     // a batch was sent to be written, and the server has not said that it is done
	doomed         atomic.Bool     // for the hooks: the answer will not get there
	widowed        atomic.Bool     // the server's side goes on when the client's has ended
}

// packet is one message.
type packet struct {
	*link
	toServer bool
	kind     byte // 0 for the first one
	write    bool // it binds the statement that writes a batch
	raw      []byte
}

// verdict is how much of a message is passed on, and whether the connection is
// cut after that, on both sides.
type verdict struct {
	pass int
	cut  bool
}

func (p *packet) forward() verdict { return verdict{len(p.raw), false} }

var (
	discard = verdict{0, false}
	cut     = verdict{0, true}
)

// newProxy listens for connections to the server of an address.
func newProxy(t testing.TB, address string) *proxy {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, target: u.Host, links: map[*link]bool{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close() // it stops accept
		p.cutAll()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.l.Addr().String() }

func (p *proxy) set(hook func(*packet) verdict, enter func() bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hook, p.enter = hook, enter
}

func (p *proxy) rules() (func(*packet) verdict, func() bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hook, p.enter
}

// cutAll cuts every connection that there is.
func (p *proxy) cutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.cut()
	}
}

func (l *link) cut() {
	_ = l.client.Close() // it may be closed
	_ = l.server.Close()
}

func (p *proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() {
			if _, enter := p.rules(); enter != nil && !enter() {
				_ = client.Close() // as a server that is not there
				return
			}
			server, err := net.Dial("tcp", p.target)
			if err != nil {
				_ = client.Close()
				return
			}
			l := &link{client: client, server: server, writes: map[string]bool{}}
			p.mu.Lock()
			p.links[l] = true
			p.mu.Unlock()
			var wg sync.WaitGroup
			wg.Go(func() { p.pump(l, true) })
			wg.Go(func() { p.pump(l, false) })
			wg.Wait()
			l.cut()
			p.mu.Lock()
			delete(p.links, l)
			p.mu.Unlock()
		})
	}
}

// pump passes messages on in one direction until a side ends.
func (p *proxy) pump(l *link, toServer bool) {
	from, to := l.server, l.client
	if toServer {
		from, to = l.client, l.server
	}
	defer func() {
		if !l.widowed.Load() {
			l.cut()
		}
	}()
	in, out := bufio.NewReaderSize(from, 1<<16), bufio.NewWriterSize(to, 1<<16)
	for first := toServer; ; first = false {
		m := &packet{link: l, toServer: toServer}
		var err error
		if m.kind, m.raw, err = readMessage(in, first); err != nil {
			return
		}
		m.note()
		v := m.forward()
		if hook, _ := p.rules(); hook != nil {
			v = hook(m)
		}
		if !toServer && m.kind == 'Z' {
			l.writing.Store(false)
			l.status.Store(int32(m.raw[5]))
		}
		_, err = out.Write(m.raw[:v.pass])
		if in.Buffered() == 0 || v.cut {
			err = out.Flush()
		}
		if v.cut {
			l.widowed.Store(false)
			return
		}
		if err != nil && !l.widowed.Load() {
			return
		}
	}
}

// readMessage reads one message. The first one of a client has no kind.
func readMessage(in *bufio.Reader, first bool) (kind byte, raw []byte, err error) {
	head := 5
	if first {
		head = 4
	}
	raw = make([]byte, head)
	if _, err := io.ReadFull(in, raw); err != nil {
		return 0, nil, err
	}
	if !first {
		kind = raw[0]
	}
	rest := make([]byte, int(binary.BigEndian.Uint32(raw[head-4:]))-4)
	if _, err := io.ReadFull(in, rest); err != nil {
		return 0, nil, err
	}
	return kind, append(raw, rest...), nil
}

// note finds out which messages write a batch.
func (m *packet) note() {
	if !m.toServer {
		return
	}
	switch m.kind {
	case 'P': // Parse: name, text
		name, rest, _ := bytes.Cut(m.raw[5:], []byte{0})
		text, _, _ := bytes.Cut(rest, []byte{0})
		m.writes[string(name)] = strings.Contains(string(text), "UPDATE ledger_head SET") && strings.Contains(string(text), "INSERT INTO transfers")
	case 'B': // Bind: portal, statement
		_, rest, _ := bytes.Cut(m.raw[5:], []byte{0})
		name, _, _ := bytes.Cut(rest, []byte{0})
		if m.writes[string(name)] {
			m.write = true
			m.writing.Store(true)
		}
	}
}
