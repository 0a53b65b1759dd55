package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	sessionCookie = "meguri_session"
	loginCookie   = "meguri_login" // pairs the login form with the browser it was sent to
	langCookie    = "meguri_lang"

	sessionLife   = 8 * time.Hour
	loginWindow   = 15 * time.Minute
	loginAttempts = 5 // failures per login and address in a window
	maxEntries    = 10_000
)

// session is somebody who is logged in. What they may do is read from the
// registry with every request, so that a role withdrawn is withdrawn at once.
type session struct {
	login   string
	csrf    string
	expires time.Time
}

// sessions keeps who is logged in, in memory: a restart logs everybody out.
// It knows digests only; the tokens are in the browsers' cookies.
type sessions struct {
	now     func() time.Time
	nobody  string        // a hash that no password has
	hashing chan struct{} // bounds the memory that argon2id takes

	mu       sync.Mutex
	byDigest map[[sha256.Size]byte]session
	failures map[string]failure
}

type failure struct {
	count int
	until time.Time
}

func newSessions(now func() time.Time) (*sessions, error) {
	nobody, err := HashPassword(NewToken())
	if err != nil {
		return nil, err
	}
	return &sessions{now: now, nobody: nobody, hashing: make(chan struct{}, 4),
		byDigest: map[[sha256.Size]byte]session{}, failures: map[string]failure{}}, nil
}

// open starts a session and returns its token.
func (s *sessions) open(login string) string {
	token := NewToken()
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.byDigest, func(_ [sha256.Size]byte, old session) bool { return !s.now().Before(old.expires) })
	s.byDigest[sha256.Sum256([]byte(token))] = session{login, NewToken(), s.now().Add(sessionLife)}
	return token
}

func (s *sessions) find(r *http.Request) (session, bool) {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return session{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.byDigest[sha256.Sum256([]byte(c.Value))]
	return found, ok && s.now().Before(found.expires)
}

func (s *sessions) close(r *http.Request) {
	if c, err := r.Cookie(sessionCookie); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.byDigest, sha256.Sum256([]byte(c.Value)))
	}
}

// attempt counts one try to log in before it is made, so that tries sent at
// once are counted too. It reports whether the try may be made.
func (s *sessions) attempt(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if len(s.failures) >= maxEntries {
		maps.DeleteFunc(s.failures, func(_ string, f failure) bool { return !now.Before(f.until) })
	}
	f, ok := s.failures[key]
	if !ok && len(s.failures) >= maxEntries {
		return false // somebody is trying names by the thousand
	}
	if !ok || !now.Before(f.until) {
		f = failure{until: now.Add(loginWindow)}
	}
	f.count++
	s.failures[key] = f
	return f.count <= loginAttempts
}

func (s *sessions) succeeded(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.failures, key)
}

// verify compares a password with a hash, a few at a time. An unknown login
// is compared too, so that it takes as long as a known one.
func (s *sessions) verify(ctx context.Context, hash, password string) (bool, error) {
	select {
	case s.hashing <- struct{}{}:
		defer func() { <-s.hashing }()
	case <-ctx.Done():
		return false, fmt.Errorf("wait to check a password: %w", ctx.Err())
	}
	if hash == "" {
		hash = s.nobody
	}
	return VerifyPassword(hash, password), nil
}

// attemptKey is one login from one address. The address is the connection's:
// a header could be made up anew for every try.
func attemptKey(login string, r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return login + "\x00" + host
}

func setCookie(w http.ResponseWriter, r *http.Request, name, value string, life time.Duration) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: overTLS(r), MaxAge: int(life.Seconds())}
	if life <= 0 {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// sameSecret compares two tokens without telling how far they agree.
func sameSecret(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// localPath is where a login leads: a path of this server, or the home page.
func localPath(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}
