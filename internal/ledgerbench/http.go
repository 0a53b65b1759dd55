package ledgerbench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"meguri/ledger/programme"
	"meguri/ledger/registry"
)

// Admit registers everybody for the wallet API, and a client by the digest of
// its token.
func (c *City) Admit(ctx context.Context, digest string) error {
	err := c.Store.PutProgramme(ctx, programme.Programme{
		ID: voucher, Name: "商品券", Class: programme.Voucher, UnitPrice: 1000, UnitValue: 1000, SpendFirst: "paid",
		OpensOn: "2020-01-01", ClosesOn: "2099-12-31",
	})
	if err != nil {
		return err
	}
	var people []registry.Resident
	for i := range c.Residents {
		people = append(people, registry.Resident{ID: resident(i), ConsentID: "c", Sex: registry.Unknown, RegisteredAt: time.Unix(0, 0)})
	}
	for ; len(people) > 0; people = people[min(1000, len(people)):] {
		if err := c.Store.PutResidents(ctx, people[:min(1000, len(people))]...); err != nil {
			return err
		}
	}
	var shops []registry.Shop
	for i := range c.Shops {
		shops = append(shops, registry.Shop{ID: shop(i), Name: "店", Merchant: "m", Industry: "grocery", Area: "本町", JoinedAt: time.Unix(0, 0)})
	}
	for ; len(shops) > 0; shops = shops[min(1000, len(shops)):] {
		if err := c.Store.PutShops(ctx, shops[:min(1000, len(shops))]...); err != nil {
			return err
		}
	}
	return c.Store.PutClient(ctx, registry.Client{ID: "bench", TokenDigest: digest, Scopes: []string{"wallet.write"}})
}

// HTTP measures payments through a server's API, over connections that stay
// open, each of which sends again as soon as it is answered.
func (c *City) HTTP(ctx context.Context, address, token string, connections int, d time.Duration, hot bool, cpu Meter) (Result, error) {
	conns := make(chan *caller, connections)
	for range connections {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return Result{}, err
		}
		defer func() { _ = conn.Close() }() // nothing is left to say
		conns <- &caller{conn: conn, in: bufio.NewReaderSize(conn, 4096)}
	}
	var refused atomic.Int64
	res, err := closedLoop(ctx, connections, d, cpu, func(r *rand.Rand) error {
		conn := <-conns // as many as clients, so nobody waits
		defer func() { conns <- conn }()
		status, err := conn.pay(token, c, r, hot)
		if err == nil && status != http.StatusCreated {
			refused.Add(1)
			err = fmt.Errorf("a payment was answered with %d", status)
		}
		return err
	})
	if n := refused.Load(); n > 0 {
		err = errors.Join(err, fmt.Errorf("%d payments were refused", n))
	}
	return res, err
}

// caller is a connection. It writes requests and reads answers by hand, since the generator shares
// the machine with what it measures.
type caller struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte
	body []byte
}

func (c *caller) pay(token string, city *City, r *rand.Rand, hot bool) (status int, err error) {
	to := 0
	if !hot {
		to = r.IntN(city.Shops)
	}
	key, err := uuid.NewV7()
	if err != nil {
		return 0, err
	}
	body := fmt.Appendf(c.body[:0], `{"resident_id":%q,"shop_id":%q,"terminal_id":"t-1","parts":[{"programme_id":%q,"amount_yen":%d}]}`,
		resident(r.IntN(city.Residents)), shop(to), voucher, 1+r.IntN(3000))
	c.body = body
	c.out = fmt.Appendf(c.out[:0], "POST /wallet/v1/payments HTTP/1.1\r\nHost: meguri\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nIdempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s", token, key, len(body), body)
	if _, err := c.conn.Write(c.out); err != nil {
		return 0, err
	}
	return c.answer()
}

// answer reads an answer to its end.
func (c *caller) answer() (status int, err error) {
	length := -1
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		name, value, isField := bytes.Cut(line, []byte(": "))
		switch {
		case status == 0:
			code, ok := bytes.CutPrefix(line, []byte("HTTP/1.1 "))
			if status, err = strconv.Atoi(string(code[:min(3, len(code))])); !ok || err != nil {
				return 0, fmt.Errorf("the answer begins with %q", line)
			}
		case isField && bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, err
			}
		case len(line) == 0 && length < 0:
			return 0, errors.New("the answer does not say how long it is")
		case len(line) == 0:
			_, err := c.in.Discard(length)
			return status, err
		}
	}
}
