package api

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"meguri/ledger/registry"
)

// clientTTL is for how long a token is believed: one that is revoked dies
// within it.
const clientTTL = 10 * time.Second

// scopeBackdate is the one scope that depends on a request's content: saying
// that something happened at another time than now.
const scopeBackdate = "ledger.backdate"

// authorise lets a request pass when its operation is public, or when its
// bearer token belongs to a client that has every scope the contract asks for.
// It runs before anything of the request is read but its headers.
func (s *server) authorise(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := requestOf(r)
		op := s.operations[routeOf(r)]
		if op == nil { // a route without a contract stays shut
			s.fail(w, r, errNoPage)
			return
		}
		req.operation, req.contract = op.id, op
		if op.public {
			next.ServeHTTP(w, r)
			return
		}
		client, err := s.client(r)
		if err != nil {
			if errors.Is(err, errNoToken) {
				w.Header().Set("WWW-Authenticate", `Bearer realm="meguri"`)
			}
			s.fail(w, r, err)
			return
		}
		req.caller = "client:" + client.ID
		for _, scope := range op.scopes {
			if !slices.Contains(client.Scopes, scope) {
				w.Header().Set("WWW-Authenticate",
					`Bearer realm="meguri", error="insufficient_scope", scope="`+strings.Join(op.scopes, " ")+`"`)
				s.fail(w, r, errForbidden)
				return
			}
		}
		req.client = client
		next.ServeHTTP(w, r)
	})
}

// client returns whose bearer token the request carries.
func (s *server) client(r *http.Request) (registry.Client, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return registry.Client{}, errNoToken
	}
	digest := TokenDigest(token)
	client, err := s.clients.get(digest, func() (registry.Client, error) {
		return s.Registry.ClientByToken(r.Context(), digest)
	})
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return registry.Client{}, errNoToken
	case err != nil:
		return registry.Client{}, err
	case subtle.ConstantTimeCompare([]byte(client.TokenDigest), []byte(digest)) != 1:
		return registry.Client{}, errNoToken // whatever the store's collation finds equal
	}
	return client, nil
}

// clientOf returns the client that authorise let through.
func clientOf(ctx context.Context) registry.Client { return ctx.Value(requestKey{}).(*request).client }

// pageRoles says who may open which page. A route that is not listed has no
// page; an empty list is open to anybody who is logged in.
var pageRoles = map[string][]registry.Role{
	"GET /":                          {},
	"POST /logout":                   {},
	"GET /ebpm":                      {registry.Office, registry.City},
	"GET /ebpm/{table}.csv":          {registry.Office, registry.City},
	"GET /office/releases":           {registry.Office},
	"GET /office/releases/{id}":      {registry.Office},
	"GET /office/releases/{id}.json": {registry.Office},
	"GET /shops":                     {registry.Office, registry.Shopkeeper},
	"GET /shops/{id}/report":         {registry.Office, registry.Shopkeeper},
	"GET /shops/{id}/report.pdf":     {registry.Office, registry.Shopkeeper},
}

// publicRoutes are open to everybody: they hold no data of the city.
var publicRoutes = []string{
	"GET /login", "POST /login",
	"GET /docs/", "GET /docs/disclosure", "GET /docs/{name}", "GET /openapi/{file}",
	"GET /problems/", "GET /problems/{slug}",
	"GET /static/*", "GET /healthz", "GET /readyz", "GET /metrics",
}
