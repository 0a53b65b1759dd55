package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/google/uuid"

	"meguri/ledger/registry"
)

const maxBody = 1 << 20

// MaxHeaderBytes is what an [http.Server] in front of [New] must let through, so
// that a key of a megabyte is answered as one that is too long.
const MaxHeaderBytes = maxBody + 64<<10

// request is what is known of a request for its log line and its problems. Its
// middlewares fill it in as they learn more.
type request struct {
	id        string
	operation string     // operationId of the contract, or the pattern of a page
	caller    string     // which client, or the role of a member of staff
	contract  *operation // of an API
	client    registry.Client
	page      bool // it is for people
}

type requestKey struct{}

func requestOf(r *http.Request) *request { return r.Context().Value(requestKey{}).(*request) }

// routeOf is the method and pattern that a request was routed to.
func routeOf(r *http.Request) string {
	return r.Method + " " + chi.RouteContext(r.Context()).RoutePattern()
}

// observe gives every request an ID, and writes one log line and one count
// when it is done.
func (s *server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now() // a duration is measured on the machine's own clock
		req := &request{id: uuid.NewString(), page: !s.isContractPath(r.URL.Path)}
		w.Header().Set("X-Request-Id", req.id)
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		next.ServeHTTP(ww, r.WithContext(context.WithValue(r.Context(), requestKey{}, req)))

		elapsed := time.Since(start)
		if req.operation == "" {
			req.operation = chi.RouteContext(r.Context()).RoutePattern()
		}
		if req.operation == "" || req.operation == "/*" {
			req.operation = "none"
		}
		status := ww.Status()
		if status == 0 {
			status = http.StatusOK
		}
		s.metrics.requests.WithLabelValues(req.operation, strconv.Itoa(status)).Inc()
		s.metrics.seconds.WithLabelValues(req.operation).Observe(elapsed.Seconds())
		s.Logger.LogAttrs(r.Context(), slog.LevelInfo, "request",
			slog.String("request_id", req.id), slog.String("method", r.Method), slog.String("operation", req.operation),
			slog.Int("status", status), slog.Float64("ms", float64(elapsed.Microseconds())/1000), slog.String("caller", req.caller))
	})
}

// isContractPath reports whether a path belongs to one of the APIs, whose
// faults are never pages.
func (s *server) isContractPath(path string) bool {
	for _, m := range s.manuals {
		if strings.HasPrefix(path, m.prefix) {
			return true
		}
	}
	return false
}

func (s *server) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				panic(p)
			default:
				s.Logger.ErrorContext(r.Context(), "panic", "request_id", requestOf(r).id, "stack", string(debug.Stack()))
				s.fail(w, r, fmt.Errorf("%w: %T", errPanic, p)) // its text may hold a person's data
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// headers tells browsers to run nothing, load nothing from elsewhere and keep
// nothing.
func (s *server) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if overTLS(r) {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// overTLS reports whether the caller's connection is encrypted, here or at the
// proxy in front.
func overTLS(r *http.Request) bool {
	return r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
}

func limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// langOf is the language of an answer: what the address asks for, what was
// chosen before, what the caller prefers, and Japanese.
func langOf(r *http.Request) string {
	if lang := r.URL.Query().Get("lang"); lang == "ja" || lang == "en" {
		return lang
	}
	if c, err := r.Cookie(langCookie); err == nil && (c.Value == "ja" || c.Value == "en") {
		return c.Value
	}
	if strings.HasPrefix(strings.ToLower(r.Header.Get("Accept-Language")), "en") {
		return "en"
	}
	return "ja"
}
