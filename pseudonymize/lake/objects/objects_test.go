package objects_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"meguri/pseudonymize/lake"
	"meguri/pseudonymize/lake/objects"
)

// server speaks S3 and is none of ours. Before it answers, hook may do what it
// likes.
type server struct {
	backend *s3mem.Backend
	address string
	hook    func(*http.Request)
}

const bucket, prefix = "city", "lakes/132047/"

func serve(t *testing.T) *server {
	t.Helper()
	s := &server{backend: s3mem.New(), hook: func(*http.Request) {}}
	if err := s.backend.CreateBucket(bucket); err != nil {
		t.Fatal(err)
	}
	store := gofakes3.New(s.backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.hook(r)
		store.ServeHTTP(w, r)
	}))
	t.Cleanup(h.Close)
	s.address = h.URL
	return s
}

func (s *server) open(t *testing.T) *objects.Store {
	t.Helper()
	store, err := objects.Open("s3://"+bucket+"/"+prefix, func(name string) string {
		return map[string]string{"AWS_ENDPOINT_URL": s.address, "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "a secret", "AWS_REGION": "ap-northeast-1"}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// content is the copy as it lies in the bucket.
func (s *server) content(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	list, err := s.backend.ListBucket(bucket, &gofakes3.Prefix{}, gofakes3.ListBucketPage{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list.Contents {
		object, err := s.backend.GetObject(bucket, o.Key, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := gofakes3.ReadAll(object.Contents, object.Size)
		if err != nil {
			t.Fatal(err)
		}
		if o.Key != prefix+"conditional" { // which holds no data
			all[strings.TrimPrefix(o.Key, prefix)] = string(text)
		}
	}
	return all
}

func (s *server) put(t *testing.T, name, text string) {
	t.Helper()
	_, err := s.backend.PutObject(bucket, prefix+name, map[string]string{"Last-Modified": time.Now().UTC().Format(http.TimeFormat)}, strings.NewReader(text), int64(len(text)), nil)
	if err != nil {
		t.Fatal(err)
	}
}

var schema = arrow.NewSchema([]arrow.Field{
	{Name: "amount_yen", Type: arrow.PrimitiveTypes.Int64}, {Name: lake.DayColumn, Type: arrow.FixedWidthTypes.Date32}}, nil)

// run adds a payment in each of some months of 2026.
func run(t *testing.T, l *lake.Lake, hour int, yen int64, months ...time.Month) lake.Manifest {
	t.Helper()
	w, err := l.Begin("132047")
	if err != nil {
		t.Fatal(err)
	}
	table, err := w.Table("payments", schema)
	if err != nil {
		t.Fatal(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, month := range months {
		b.Field(0).(*array.Int64Builder).Append(yen)
		b.Field(1).(*array.Date32Builder).Append(arrow.Date32FromTime(time.Date(2026, month, 3, 0, 0, 0, 0, time.UTC)))
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	if err := table.Write(batch); err != nil {
		t.Fatal(err)
	}
	m, err := w.Commit(lake.Commit{Segments: []int64{int64(hour)}, Epoch: 1, At: time.Date(2026, 7, 1, hour, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// files are a lake's, but for what only the folder needs.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		if err != nil || d.IsDir() || d.Name() == ".lock" || strings.HasPrefix(rel, "snapshots") {
			return err
		}
		text, err := os.ReadFile(path)
		all[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func push(t *testing.T, s *server, l *lake.Lake) objects.Pushed {
	t.Helper()
	p, err := s.open(t).Push(t.Context(), l, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPush_AndPullElsewhere: the copy and the lake that is pulled from it are
// the lake, and only what is missing goes over the wire.
func TestPush_AndPullElsewhere(t *testing.T) {
	s, l := serve(t), lake.Open(filepath.Join(t.TempDir(), "lake"))
	run(t, l, 1, 100, time.March, time.April)
	if p := push(t, s, l); p.Sent != 2 || p.There != 0 {
		t.Errorf("got %+v", p)
	}
	if diff := cmp.Diff(files(t, l.Dir()), s.content(t)); diff != "" {
		t.Error(diff)
	}
	other := lake.Open(filepath.Join(t.TempDir(), "elsewhere"))
	pull := func() {
		t.Helper()
		m, err := s.open(t).Pull(t.Context(), other, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Verify(m, nil); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(files(t, l.Dir()), files(t, other.Dir())); diff != "" {
			t.Error(diff)
		}
	}
	pull()
	run(t, l, 2, 200, time.April)
	if p := push(t, s, l); p.Sent != 1 || p.There != 2 {
		t.Errorf("got %+v", p)
	}
	pull()
	if p := push(t, s, l); p.Sent != 0 {
		t.Errorf("pushed again: got %+v", p)
	}
	if m, err := other.AsOf(time.Date(2026, 7, 1, 1, 30, 0, 0, time.UTC)); err != nil || m.Snapshot != 1 {
		t.Errorf("what was pulled before: snapshot %d, %v", m.Snapshot, err)
	}
	if _, err := s.open(t).Verify(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// TestPush_BrokenOff at any request leaves the copy as it was for whoever
// reads, and the next push completes it.
func TestPush_BrokenOff(t *testing.T) {
	for request := 1; ; request++ {
		s, l := serve(t), lake.Open(filepath.Join(t.TempDir(), "lake"))
		run(t, l, 1, 100, time.March)
		push(t, s, l)
		before := files(t, l.Dir())
		run(t, l, 2, 200, time.April, time.May)
		ctx, die := context.WithCancel(t.Context())
		n, named := 0, false
		s.hook = func(r *http.Request) {
			if n++; n == request {
				die()
				panic(http.ErrAbortHandler)
			}
			named = named || r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "manifest.json")
		}
		_, err := s.open(t).Push(ctx, l, nil)
		die()
		s.hook = func(*http.Request) {}
		if err == nil {
			if request < 8 {
				t.Errorf("a push of two files took %d requests", request)
			}
			return
		}
		other, want := lake.Open(filepath.Join(t.TempDir(), "elsewhere")), before
		if named {
			want = files(t, l.Dir())
		}
		if _, err := s.open(t).Pull(t.Context(), other, nil); err != nil {
			t.Fatalf("broken off at request %d: %v", request, err)
		}
		if diff := cmp.Diff(want, files(t, other.Dir())); diff != "" {
			t.Errorf("broken off at request %d: %s", request, diff)
		}
		push(t, s, l)
		if diff := cmp.Diff(files(t, l.Dir()), s.content(t)); diff != "" {
			t.Errorf("broken off at request %d, and pushed again: %s", request, diff)
		}
	}
}

// TestPush_OfTwoOneIsRefused, whether it comes later or in the middle.
func TestPush_OfTwoOneIsRefused(t *testing.T) {
	s, one := serve(t), lake.Open(filepath.Join(t.TempDir(), "one"))
	run(t, one, 1, 100, time.March)
	push(t, s, one)
	two := lake.Open(filepath.Join(t.TempDir(), "two"))
	if _, err := s.open(t).Pull(t.Context(), two, nil); err != nil {
		t.Fatal(err)
	}
	run(t, one, 2, 200, time.April)
	run(t, two, 2, 300, time.May)
	again := false
	s.hook = func(r *http.Request) {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "manifest.json") && !again {
			again = true
			push(t, s, two)
		}
	}
	if _, err := s.open(t).Push(t.Context(), one, nil); !errors.Is(err, objects.ErrMoved) {
		t.Errorf("beside another push: %v", err)
	}
	if _, err := s.open(t).Push(t.Context(), one, nil); !errors.Is(err, lake.ErrOther) {
		t.Errorf("after another push: %v", err)
	}
	run(t, one, 3, 400, time.June)
	if _, err := s.open(t).Push(t.Context(), one, nil); !errors.Is(err, lake.ErrOther) {
		t.Errorf("a lake that went another way: %v", err)
	}
	three := lake.Open(filepath.Join(t.TempDir(), "three"))
	if _, err := s.open(t).Pull(t.Context(), three, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(files(t, two.Dir()), files(t, three.Dir())); diff != "" {
		t.Error(diff)
	}
	before := files(t, one.Dir())
	if _, err := s.open(t).Pull(t.Context(), one, nil); !errors.Is(err, lake.ErrOther) {
		t.Errorf("pulled over a lake of its own: %v", err)
	}
	if diff := cmp.Diff(before, files(t, one.Dir())); diff != "" {
		t.Error(diff)
	}
}

// TestPull_NamesWhatIsDamaged, leaves the lake as it was, and goes on from there
// once it is repaired.
func TestPull_NamesWhatIsDamaged(t *testing.T) {
	s, l := serve(t), lake.Open(filepath.Join(t.TempDir(), "lake"))
	m := run(t, l, 1, 100, time.March, time.April)
	push(t, s, l)
	name := m.Files[1].Path
	good := s.content(t)[name]
	bad := []byte(good)
	bad[len(bad)/2] ^= 1
	for _, text := range []string{string(bad), good[:len(good)-1], good + "x", ""} {
		s.put(t, name, text)
		other := lake.Open(filepath.Join(t.TempDir(), "elsewhere"))
		if _, err := s.open(t).Pull(t.Context(), other, nil); !errors.Is(err, lake.ErrChanged) || !strings.Contains(err.Error(), name) {
			t.Errorf("pull: %v", err)
		}
		if now, err := other.Manifest(); err != nil || now.Snapshot != 0 {
			t.Errorf("after a pull that broke off: snapshot %d, %v", now.Snapshot, err)
		}
		if _, err := s.open(t).Verify(t.Context(), nil); !errors.Is(err, lake.ErrChanged) || !strings.Contains(err.Error(), name) {
			t.Errorf("verify: %v", err)
		}
		s.put(t, name, good)
		fetched := 0
		s.hook = func(r *http.Request) {
			if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, ".parquet") {
				fetched++
			}
		}
		if _, err := s.open(t).Pull(t.Context(), other, nil); err != nil {
			t.Fatal(err)
		}
		s.hook = func(*http.Request) {}
		if diff := cmp.Diff(files(t, l.Dir()), files(t, other.Dir())); diff != "" || fetched != 1 {
			t.Errorf("fetched %d files: %s", fetched, diff)
		}
		if err := other.Strays(); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.backend.DeleteObject(bucket, prefix+name); err != nil {
		t.Fatal(err)
	}
	if _, err := s.open(t).Pull(t.Context(), lake.Open(filepath.Join(t.TempDir(), "elsewhere")), nil); !errors.Is(err, lake.ErrChanged) {
		t.Errorf("an object that is not there: %v", err)
	}
	if p := push(t, s, l); p.Sent != 1 {
		t.Errorf("a push brings back what is not there: got %+v", p)
	}
}

// TestPull_BrokenOff at any request leaves the lake as it was, for readers, for
// the next pull, and for a run that begins instead.
func TestPull_BrokenOff(t *testing.T) {
	s, l := serve(t), lake.Open(filepath.Join(t.TempDir(), "lake"))
	run(t, l, 1, 100, time.March)
	push(t, s, l)
	first := files(t, l.Dir())
	old := filepath.Join(t.TempDir(), "old")
	if _, err := s.open(t).Pull(t.Context(), lake.Open(old), nil); err != nil {
		t.Fatal(err)
	}
	run(t, l, 2, 200, time.April, time.May, time.June)
	run(t, l, 3, 300, time.April)
	push(t, s, l)
	for request := 1; ; request++ {
		dir := filepath.Join(t.TempDir(), "lake")
		if err := os.CopyFS(dir, os.DirFS(old)); err != nil {
			t.Fatal(err)
		}
		other := lake.Open(dir)
		ctx, die := context.WithCancel(t.Context())
		n := 0
		s.hook = func(*http.Request) {
			if n++; n == request {
				die()
				panic(http.ErrAbortHandler)
			}
		}
		_, err := s.open(t).Pull(ctx, other, nil)
		die()
		s.hook = func(*http.Request) {}
		if err == nil {
			if request < 6 {
				t.Errorf("a pull of four files took %d requests", request)
			}
			return
		}
		if m, err := other.Manifest(); err != nil || m.Snapshot != 1 {
			t.Errorf("broken off at request %d: snapshot %d, %v", request, m.Snapshot, err)
		}
		if err := other.Strays(); err != nil {
			t.Errorf("broken off at request %d: %v", request, err)
		}
		if request%2 == 0 {
			w, err := other.Begin("132047")
			if err != nil {
				t.Fatalf("broken off at request %d, and a run: %v", request, err)
			}
			w.Abort()
			if diff := cmp.Diff(first, files(t, dir)); diff != "" {
				t.Errorf("broken off at request %d, and a run: %s", request, diff)
			}
		}
		if _, err := s.open(t).Pull(t.Context(), other, nil); err != nil {
			t.Fatalf("broken off at request %d, and pulled again: %v", request, err)
		}
		if diff := cmp.Diff(files(t, l.Dir()), files(t, dir)); diff != "" {
			t.Errorf("broken off at request %d, and pulled again: %s", request, diff)
		}
	}
}

// TestPush_ErasesWhatTheLakeErased, also in the bucket.
func TestPush_ErasesWhatTheLakeErased(t *testing.T) {
	s, l := serve(t), lake.Open(filepath.Join(t.TempDir(), "lake"))
	run(t, l, 1, 100, time.March)
	run(t, l, 2, 200, time.March)
	push(t, s, l)
	w, err := l.Begin("132047")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.Compact(t.Context(), 2); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := w.Commit(lake.Commit{At: time.Date(2026, 7, 1, 3, 0, 0, 0, time.UTC)}); err != nil {
		t.Fatal(err)
	}
	s.put(t, "payments/city=132047/month=2026-03/000004.parquet", "of a later push that is under way")
	if p := push(t, s, l); p.Sent != 1 || p.Removed != 2 {
		t.Errorf("got %+v", p)
	}
	if got := s.content(t); len(got) != 3 {
		t.Errorf("left %d objects, want manifest, file, and what is another's", len(got))
	}
}

// TestPush_Refuses what would do harm.
func TestPush_Refuses(t *testing.T) {
	s, l := serve(t), lake.Open(filepath.Join(t.TempDir(), "lake"))
	if _, err := s.open(t).Push(t.Context(), l, nil); err == nil {
		t.Error("an empty lake was pushed")
	}
	if _, err := s.open(t).Pull(t.Context(), l, nil); !errors.Is(err, objects.ErrEmpty) {
		t.Errorf("nothing there: %v", err)
	}
	m := run(t, l, 1, 100, time.March)
	s.put(t, m.Files[0].Path, "another's")
	if _, err := s.open(t).Push(t.Context(), l, nil); !errors.Is(err, objects.ErrTaken) {
		t.Errorf("a name that is taken: %v", err)
	}
	if _, err := s.backend.DeleteObject(bucket, prefix+m.Files[0].Path); err != nil {
		t.Fatal(err)
	}
	s.hook = func(r *http.Request) { r.Header.Del("If-Match") } // as a server that knows no conditions
	if _, err := s.open(t).Push(t.Context(), l, nil); !errors.Is(err, objects.ErrUnconditional) {
		t.Errorf("a store without conditions: %v", err)
	}
	s.hook = func(*http.Request) {}
	path := l.Paths(m, "payments")[0]
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[9] ^= 1
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.open(t).Push(t.Context(), l, nil); !errors.Is(err, lake.ErrChanged) {
		t.Errorf("a lake that is damaged here: %v", err)
	}
}

// TestOpen_Refuses, and no error holds a secret.
func TestOpen_Refuses(t *testing.T) {
	for _, c := range []struct {
		address, endpoint, id string
		want                  error
	}{
		{"https://bucket/prefix", "", "id", objects.ErrAddress},
		{"s3:///prefix", "", "id", objects.ErrAddress},
		{"s3://id:hidden@bucket/prefix", "", "id", objects.ErrAddress},
		{"s3://bucket", "", "", objects.ErrCredentials},
		{"s3://bucket", "http://192.0.2.1:9000", "id", objects.ErrEndpoint},
		{"s3://bucket", "ftp://localhost", "id", objects.ErrEndpoint},
		{"s3://bucket", "https://host/path", "id", objects.ErrEndpoint},
		{"s3://bucket", "https://s3.example.jp", "id", nil},
		{"s3://bucket", "", "id", nil},
	} {
		_, err := objects.Open(c.address, func(name string) string {
			return map[string]string{"AWS_ENDPOINT_URL": c.endpoint, "AWS_ACCESS_KEY_ID": c.id, "AWS_SECRET_ACCESS_KEY": "hidden"}[name]
		})
		if !errors.Is(err, c.want) || err != nil && strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s at %s: got %v, want %v", c.address, c.endpoint, err, c.want)
		}
	}
}
