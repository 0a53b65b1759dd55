package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/go-chi/chi/v5"

	"meguri/analytics/disclosure"
	"meguri/reports"
)

// Releases is the register as the office reads it.
type Releases interface {
	// All calls f with every entry, in order.
	All(ctx context.Context, f func(disclosure.Record) error) (last int64, err error)
}

// explained are the releases, the latest last, or the one of a number.
func (s *server) explained(ctx context.Context, only int64) ([]disclosure.Explained, error) {
	if s.Releases == nil {
		return nil, errNoPage
	}
	var list []disclosure.Explained
	_, err := s.Releases.All(ctx, func(r disclosure.Record) error {
		if only != 0 && r.Number != only {
			return nil
		}
		e, err := disclosure.Explain(r.Number, r)
		if err == nil {
			list = append(list, e)
		}
		return err
	})
	return list, err
}

func (s *server) shell(r *http.Request) reports.Shell {
	v := visitorOf(r)
	return reports.Shell{Demo: s.Demo, City: s.City, User: v.Login, CSRF: v.csrf, Nav: links(r)}
}

func (s *server) releases(w http.ResponseWriter, r *http.Request) {
	list, err := s.explained(r.Context(), 0)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	const page = 200 // the latest
	list = list[max(0, len(list)-page):]
	slices.Reverse(list)
	s.page(w, r, http.StatusOK, typeHTML, func(b io.Writer) error { return reports.ReleaseList(b, langOf(r), s.shell(r), list) })
}

// release is the release that the address names.
func (s *server) release(r *http.Request) (disclosure.Explained, error) {
	number, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 64)
	if err != nil || number < 1 {
		return disclosure.Explained{}, errNoPage
	}
	list, err := s.explained(r.Context(), number)
	if err == nil && len(list) == 0 {
		err = errNoPage
	}
	if err != nil {
		return disclosure.Explained{}, err
	}
	return list[0], nil
}

func (s *server) releaseReasons(w http.ResponseWriter, r *http.Request) {
	e, err := s.release(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.page(w, r, http.StatusOK, typeHTML, func(b io.Writer) error { return reports.ReleaseReasons(b, langOf(r), s.shell(r), e) })
}

func (s *server) releaseReasonsJSON(w http.ResponseWriter, r *http.Request) {
	e, err := s.release(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	s.page(w, r, http.StatusOK, "application/json", func(b io.Writer) error { return json.NewEncoder(b).Encode(e) })
}
