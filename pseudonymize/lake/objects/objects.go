// Package objects keeps a copy of a lake in a store of objects that speaks S3.
// Start with [Open], [Store.Push] and [Store.Pull].
//
// The copy is a lake too, which any tool can read: the same files under the same
// names, and manifest.json, which says which of them count. A push sends files
// first, none over another, and the manifest last, on the condition that it
// replaces the one that was there when the push began. So whoever reads sees
// the state before or after, a push that breaks off changes nothing, and of two
// pushers one is refused.
package objects

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"meguri/pseudonymize/lake"
)

// Errors of a store.
var (
	ErrAddress       = errors.New("the address of a lake in a store of objects is s3://bucket/prefix")
	ErrCredentials   = errors.New("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	ErrEndpoint      = errors.New("AWS_ENDPOINT_URL is https://host, or http:// on this machine: rows are personal information")
	ErrEmpty         = errors.New("there is no lake at the address")
	ErrMoved         = errors.New("another push came first: look who else pushes there, and push again")
	ErrTaken         = errors.New("another file has the name already: it is another lake's, push to an address of its own")
	ErrUnconditional = errors.New("the store overwrites whatever the condition (If-Match): two pushes could undo each other")
)

// Store is a place in a bucket.
type Store struct {
	client         *minio.Client
	bucket, prefix string
}

// Open returns the place that an address names. Endpoint, region and
// credentials are in the variables that other programs use too:
// AWS_ENDPOINT_URL (else it is AWS's own), AWS_REGION, AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.
func Open(address string, getenv func(string) string) (*Store, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, ErrAddress
	}
	id, secret := getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY")
	if id == "" || secret == "" {
		return nil, ErrCredentials
	}
	endpoint := &url.URL{Scheme: "https", Host: "s3.amazonaws.com"}
	if text := getenv("AWS_ENDPOINT_URL"); text != "" {
		endpoint, err = url.Parse(text)
		if err != nil || endpoint.Host == "" || strings.Trim(endpoint.Path, "/") != "" || endpoint.User != nil ||
			endpoint.Scheme != "https" && (endpoint.Scheme != "http" || !here(endpoint.Hostname())) {
			return nil, ErrEndpoint
		}
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds:  credentials.NewStaticV4(id, secret, getenv("AWS_SESSION_TOKEN")),
		Secure: endpoint.Scheme == "https",
		Region: getenv("AWS_REGION"),
	})
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return &Store{client, u.Host, strings.Trim(u.Path, "/")}, nil
}

func here(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s *Store) key(name string) string { return path.Join(s.prefix, name) }

// missing and refused read what a store answers.
func missing(err error) bool { return minio.ToErrorResponse(err).StatusCode == http.StatusNotFound }

func refused(err error) bool {
	status := minio.ToErrorResponse(err).StatusCode
	return status == http.StatusPreconditionFailed || status == http.StatusConflict
}

// remote is the manifest of the copy, with what the store knows it by.
type remote struct {
	manifest lake.Manifest
	text     []byte
	etag     string // "" if there is none
}

// longest is more than any manifest has.
const longest = 256 << 20

func (s *Store) read(ctx context.Context) (r remote, err error) {
	object, err := s.client.GetObject(ctx, s.bucket, s.key("manifest.json"), minio.GetObjectOptions{})
	if err != nil {
		return r, err
	}
	defer func() { _ = object.Close() }() // it was only read
	info, err := object.Stat()
	if missing(err) && minio.ToErrorResponse(err).Code != "NoSuchBucket" {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if r.text, err = io.ReadAll(io.LimitReader(object, longest)); err != nil {
		return r, err
	}
	r.etag = info.ETag
	r.manifest, err = lake.ParseManifest(r.text)
	return r, err
}

// Pushed says what a push did.
type Pushed struct {
	Snapshot    int64
	Sent, There int // files
	Removed     int // files that no present manifest names
	Bytes       int64
}

// Push brings the copy to the lake's present snapshot. Progress may be nil.
func (s *Store) Push(ctx context.Context, l *lake.Lake, progress func(bytes, of int64)) (Pushed, error) {
	p, err := s.push(ctx, l, progress)
	if err != nil {
		return p, fmt.Errorf("push lake: %w", err)
	}
	return p, nil
}

func (s *Store) push(ctx context.Context, l *lake.Lake, progress func(bytes, of int64)) (p Pushed, err error) {
	all, err := l.Snapshots()
	if err != nil {
		return p, err
	}
	if len(all) == 0 {
		return p, errors.New("the lake is empty: run the pipeline first")
	}
	m := all[len(all)-1]
	text, err := m.Text()
	if err != nil {
		return p, err
	}
	there, err := s.read(ctx)
	if err != nil {
		return p, err
	}
	if there.etag != "" && !bytes.Equal(there.text, text) && !descends(all, there) {
		return p, fmt.Errorf("%w: snapshot %d of %s there, snapshot %d here", lake.ErrOther,
			there.manifest.Snapshot, there.manifest.At.Format("2006-01-02 15:04"), m.Snapshot)
	}
	if err := l.Verify(m, nil); err != nil { // nothing that is damaged here goes there
		return p, err
	}
	if err := s.heeds(ctx); err != nil {
		return p, err
	}
	p.Snapshot = m.Snapshot
	var done, of int64
	for _, f := range m.Files {
		of += f.Bytes
	}
	for i, f := range m.Files {
		sent, err := s.send(ctx, f, l.Paths(lake.Manifest{Files: m.Files[i : i+1]}, f.Table)[0])
		if err != nil {
			return p, fmt.Errorf("%s: %w", f.Path, err)
		}
		if sent {
			p.Sent++
			p.Bytes += f.Bytes
		} else {
			p.There++
		}
		if done += f.Bytes; progress != nil {
			progress(done, of)
		}
	}
	if err := s.replace(ctx, there, text); err != nil {
		return p, err
	}
	p.Removed, err = s.prune(ctx, m)
	return p, err
}

// descends tells whether the copy is an earlier state of a lake. Where the lake
// still keeps that snapshot it must be the very same.
func descends(all []lake.Manifest, there remote) bool {
	for _, m := range all {
		if m.Snapshot == there.manifest.Snapshot {
			text, err := m.Text()
			return err == nil && bytes.Equal(text, there.text)
		}
	}
	return all[len(all)-1].Follows(there.manifest)
}

// heeds asks a store to overwrite an object on a condition that does not hold.
// One that does it all the same could lose a push.
func (s *Store) heeds(ctx context.Context) error {
	put := func(o minio.PutObjectOptions) error {
		o.DisableMultipart = true
		_, err := s.client.PutObject(ctx, s.bucket, s.key("conditional"), strings.NewReader("meguri"), 6, o)
		return err
	}
	if err := put(minio.PutObjectOptions{}); err != nil {
		return err
	}
	var not minio.PutObjectOptions
	not.SetMatchETag(strings.Repeat("0", 32))
	switch err := put(not); {
	case err == nil:
		return ErrUnconditional
	case refused(err):
		return nil
	default:
		return err
	}
}

// send puts a file there, unless it is there already.
func (s *Store) send(ctx context.Context, f lake.File, file string) (sent bool, err error) {
	same := func() (bool, error) {
		info, err := s.client.StatObject(ctx, s.bucket, s.key(f.Path), minio.StatObjectOptions{})
		if err != nil {
			return false, err
		}
		if info.Size != f.Bytes || info.Metadata.Get("X-Amz-Meta-Sha256") != f.SHA256 {
			return false, ErrTaken
		}
		return true, nil
	}
	if there, err := same(); there || err != nil && !missing(err) {
		return false, err
	}
	o := minio.PutObjectOptions{
		ContentType: "application/vnd.apache.parquet", DisableMultipart: true, // a condition holds for one part
		SendContentMd5: true, UserMetadata: map[string]string{"sha256": f.SHA256},
	}
	o.SetMatchETagExcept("*")
	_, err = s.client.FPutObject(ctx, s.bucket, s.key(f.Path), file, o)
	if refused(err) { // somebody sent it meanwhile, or our first answer was lost
		_, err = same()
		return false, err
	}
	return err == nil, err
}

// replace puts the manifest in the place of the one that was read.
func (s *Store) replace(ctx context.Context, there remote, text []byte) error {
	if bytes.Equal(there.text, text) {
		return nil
	}
	o := minio.PutObjectOptions{ContentType: "application/json", DisableMultipart: true, SendContentMd5: true}
	if there.etag == "" {
		o.SetMatchETagExcept("*")
	} else {
		o.SetMatchETag(there.etag)
	}
	_, err := s.client.PutObject(ctx, s.bucket, s.key("manifest.json"), bytes.NewReader(text), int64(len(text)), o)
	if !refused(err) {
		return err
	}
	if now, err := s.read(ctx); err == nil && bytes.Equal(now.text, text) { // our first answer was lost
		return nil
	}
	return ErrMoved
}

// prune removes the files of this snapshot and of those before that do not
// count any more: what was erased from the lake is erased there too. Later
// pushes need none of them, since a file bears the number of its snapshot.
func (s *Store) prune(ctx context.Context, m lake.Manifest) (removed int, err error) {
	named := map[string]bool{}
	for _, f := range m.Files {
		named[s.key(f.Path)] = true
	}
	last := fmt.Sprintf("%06d.parquet", m.Snapshot)
	for _, table := range lake.Tables {
		prefix := s.key(table.Name) + "/"
		for info := range s.client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
			if info.Err != nil {
				return removed, info.Err
			}
			name := path.Base(info.Key)
			later := len(name) > len(last) || len(name) == len(last) && name > last
			if named[info.Key] || later || !strings.HasSuffix(name, ".parquet") {
				continue
			}
			if err := s.client.RemoveObject(ctx, s.bucket, info.Key, minio.RemoveObjectOptions{}); err != nil {
				return removed, err
			}
			removed++
		}
	}
	return removed, nil
}

// Pull brings a lake, which is empty or an earlier state, to the copy's
// snapshot. A file that is damaged there does not come in. Progress may be nil.
func (s *Store) Pull(ctx context.Context, l *lake.Lake, progress func(bytes, of int64)) (lake.Manifest, error) {
	there, err := s.read(ctx)
	if err == nil && there.etag == "" {
		err = ErrEmpty
	}
	if err != nil {
		return lake.Manifest{}, fmt.Errorf("pull lake: %w", err)
	}
	m, err := l.Install(ctx, there.text, s.fetch, progress)
	if err != nil {
		return m, fmt.Errorf("pull lake: %w", err)
	}
	return m, nil
}

func (s *Store) fetch(ctx context.Context, f lake.File) (io.ReadCloser, error) {
	object, err := s.client.GetObject(ctx, s.bucket, s.key(f.Path), minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	if _, err := object.Stat(); err != nil {
		_ = object.Close() // nothing was read
		if missing(err) {
			return nil, fmt.Errorf("%w: %s is not there", lake.ErrChanged, f.Path)
		}
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	return object, nil
}

// Verify reads every file of the copy and compares it with its manifest. It
// returns lake.ErrChanged with the first that differs. Progress may be nil.
func (s *Store) Verify(ctx context.Context, progress func(bytes, of int64)) (lake.Manifest, error) {
	there, err := s.read(ctx)
	if err == nil && there.etag == "" {
		err = ErrEmpty
	}
	var done, of int64
	for _, f := range there.manifest.Files {
		of += f.Bytes
	}
	for _, f := range there.manifest.Files {
		if err == nil {
			err = s.verify(ctx, f)
		}
		if done += f.Bytes; err == nil && progress != nil {
			progress(done, of)
		}
	}
	if err != nil {
		return lake.Manifest{}, fmt.Errorf("verify lake: %w", err)
	}
	return there.manifest, nil
}

func (s *Store) verify(ctx context.Context, f lake.File) error {
	object, err := s.fetch(ctx, f)
	if err != nil {
		return err
	}
	defer func() { _ = object.Close() }() // it was only read
	sum := sha256.New()
	if _, err := io.Copy(sum, object); err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return fmt.Errorf("%w: %s", lake.ErrChanged, f.Path)
	}
	return nil
}
