package main

import (
	"context"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"meguri/analytics/disclosure"
	"meguri/ingest/consent"
)

// Every way in which the lake's rows are read or handed over, and in which
// statistics are released, asks here whether its purpose may be used. Commands
// take it from --purpose or the configuration; grants and contracts carry it.

// forPurpose gives a command the flag; its value stands over the configuration's.
func forPurpose(c *cobra.Command) *cobra.Command {
	c.Flags().String("purpose", "", "利用目的の番号（既定は設定の purpose）/ code of the purpose of use (default: the configuration's)")
	return c
}

// purpose returns a purpose that somebody names, if it may be used.
func (a *app) purpose(ctx context.Context, code string) (consent.Purpose, error) {
	desk, err := a.consents(ctx)
	if err != nil {
		return consent.Purpose{}, err
	}
	r, err := desk.Register(ctx)
	if err != nil {
		return consent.Purpose{}, err
	}
	return r.InForce(code, consent.Day(time.Now()))
}

// use enters in the log of consents what rows of the lake are read for. Ways that
// have a log of their own enter it there.
func (a *app) use(ctx context.Context, purpose, what string) error {
	desk, err := a.consents(ctx)
	if err != nil {
		return err
	}
	_, err = desk.Use(ctx, consent.Use{Purpose: purpose, What: what, By: processUser()})
	return err
}

// gatePurpose is the purpose of the gate. A server asks for each table, so the
// registers are kept until the log has grown.
func (a *app) gatePurpose(ctx context.Context) (disclosure.Purpose, error) {
	desk, err := a.consents(ctx)
	if err != nil {
		return disclosure.Purpose{}, err
	}
	var mu sync.Mutex
	var register *consent.Register
	known := int64(-1)
	return disclosure.Purpose{Own: a.config.Purpose, InForce: func(ctx context.Context, code string) error {
		mu.Lock()
		defer mu.Unlock()
		last, err := desk.Store.Last(ctx)
		if err != nil {
			return err
		}
		if last != known {
			if register, err = desk.Register(ctx); err != nil {
				return err
			}
			known = last
		}
		_, err = register.InForce(code, consent.Day(time.Now()))
		return err
	}}, nil
}
