package flight

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/google/uuid"

	"meguri/analytics/duck"
	"meguri/pseudonymize/lake"
)

// FileLabel stands in the name of every file of rows.
const FileLabel = "仮名加工情報"

// ErrNotJointUse is an export under a grant that does not allow one.
var ErrNotJointUse = errors.New("行を渡せるのは共同利用の許可だけです。" + gateJa +
	" / rows leave only under a grant of joint use: " + gateEn)

// Export is rows that leave for a joint user (共同利用).
type Export struct {
	Lake      *lake.Lake
	Store     Store
	Now       func() time.Time
	Grant     string // its ID
	Query     string
	Out       string // path of the file; the label is put in its name if it is not there
	Recipient string
	Purpose   string
	MemoryMiB int   // 0 is 2048
	Rows      int64 // the most that may leave; 0 is 10,000,000
}

// Write runs the query, writes the file and enters the provision in the log:
// before it runs, and with the file's hash before the file has its name. A file
// that is there is never replaced. It returns the entry of the provision.
func (x Export) Write(ctx context.Context) (done Entry, err error) {
	if strings.TrimSpace(x.Recipient) == "" || strings.TrimSpace(x.Purpose) == "" {
		return done, errors.New("an export needs a recipient and a purpose")
	}
	g, err := x.Store.Grant(ctx, x.Grant)
	if err != nil {
		return done, fmt.Errorf("export under grant %s: %w", x.Grant, err)
	}
	began := g.entry(Began, x.Now())
	began.Statement, began.Text, began.Recipient, began.Outcome = "export/"+uuid.NewString(), clip(x.Query), x.Recipient, "ok"
	refuse := func(why error) (Entry, error) {
		began.Outcome = "refused"
		return done, errors.Join(why, x.Store.Append(ctx, began))
	}
	if state := g.State(x.Now()); state != "active" {
		return refuse(fmt.Errorf("export under grant %s: it is %s", g.ID, state))
	}
	if g.Basis != JointUse {
		return refuse(ErrNotJointUse)
	}
	if x.Purpose != g.Purpose {
		return refuse(fmt.Errorf("export under grant %s: it is for the purpose %q, and for no other", g.ID, g.Purpose))
	}
	sandbox, err := duck.OpenSandbox(ctx, x.Lake, duck.SandboxOptions{MemoryMiB: orElse(x.MemoryMiB, 2048), Tables: g.Tables})
	if err != nil {
		return done, fmt.Errorf("export: %w", err)
	}
	defer func() { err = errors.Join(err, sandbox.Close()) }()
	began.Snapshot = sandbox.Manifest().Snapshot
	st, err := sandbox.Check(ctx, x.Query)
	if err == nil && (st.Temporary != "" || st.Parameters > 0) {
		err = &duck.Refusal{Ja: "値のない1つの SELECT 以外の提供", En: "an export of anything but one SELECT without parameters"}
	}
	if err != nil {
		return refuse(fmt.Errorf("export: %w", err))
	}
	if err := x.Store.Append(ctx, began); err != nil {
		return done, fmt.Errorf("export: %w", err)
	}
	done = began
	done.Kind, done.File = Provision, labelled(x.Out)
	start := time.Now()
	tmp, err := x.write(ctx, sandbox, st, &done)
	if tmp != "" {
		defer func() { err = errors.Join(err, os.Remove(tmp)) }() // its other name stays
	}
	done.At, done.Took = x.Now(), time.Since(start)
	if err != nil {
		failed := done
		failed.Kind, failed.SHA256 = Answered, ""
		failed.Outcome, _ = outcome(err, 0)
		return done, errors.Join(fmt.Errorf("export: %w", err), x.Store.Append(ctx, failed))
	}
	if err := x.Store.Take(ctx, done); err != nil { // what is not in the log has not left
		failed := done
		failed.Kind, failed.SHA256, failed.Outcome = Answered, "", "error"
		if errors.Is(err, ErrUsedUp) {
			failed.Outcome = "used_up"
			err = errors.Join(fmt.Errorf("%w: %d rows and %d bytes in this file, after %d and %d of %d and %d", err, done.Rows, done.Bytes,
				g.Used.Rows, g.Used.Bytes, g.Most.Rows, g.Most.Bytes), x.Store.Append(ctx, failed))
		}
		return done, fmt.Errorf("export: %w", err)
	}
	if err := os.Link(tmp, done.File); err != nil {
		failed := done
		failed.Kind, failed.Outcome = Answered, "error"
		return done, errors.Join(fmt.Errorf("export: %w", err), x.Store.Append(ctx, failed))
	}
	return done, nil
}

// labelled is a file's name with the label in it.
func labelled(path string) string {
	dir, name := filepath.Split(path)
	if strings.Contains(name, FileLabel) {
		return path
	}
	ext := filepath.Ext(name)
	return dir + strings.TrimSuffix(name, ext) + "." + FileLabel + ext
}

// write writes the rows under a temporary name beside the final one.
func (x Export) write(ctx context.Context, sandbox *duck.Sandbox, st duck.Statement, done *Entry) (tmp string, err error) {
	if _, err := os.Lstat(done.File); err == nil {
		return "", fmt.Errorf("%s exists: give another name", done.File)
	}
	f, err := os.CreateTemp(filepath.Dir(done.File), ".export-*") // mode 0600
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	count := &counter{}
	var out *pqarrow.FileWriter
	var labels arrow.Metadata
	limit := orElse(x.Rows, 10_000_000)
	err = sandbox.Run(ctx, st, nil, limit, func(schema *arrow.Schema) (err error) {
		labels = arrow.NewMetadata(
			[]string{"label", "snapshot", "grant", "recipient", "purpose", "basis", "exported_at"},
			[]string{lake.Label, fmt.Sprint(done.Snapshot), done.Grant, x.Recipient, x.Purpose, JointUse.Law(), x.Now().UTC().Format(time.RFC3339)})
		out, err = pqarrow.NewFileWriter(arrow.NewSchema(schema.Fields(), &labels), io.MultiWriter(f, sum, count),
			parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd)), pqarrow.DefaultWriterProps())
		if err != nil {
			return err
		}
		for i, key := range labels.Keys() { // for readers that do not know Arrow
			if err := out.AppendKeyValueMetadata(key, labels.Values()[i]); err != nil {
				return err
			}
		}
		return nil
	}, func(b arrow.RecordBatch) error {
		if done.Rows += b.NumRows(); done.Rows > limit {
			return &tooLarge{limit, [2]string{"行", "rows"}}
		}
		labelledBatch := array.NewRecordBatch(arrow.NewSchema(b.Schema().Fields(), &labels), b.Columns(), b.NumRows())
		defer labelledBatch.Release()
		return out.WriteBuffered(labelledBatch)
	})
	if out != nil {
		err = errors.Join(err, out.Close())
	}
	err = errors.Join(err, f.Sync(), f.Close())
	done.Bytes, done.SHA256 = count.n, hex.EncodeToString(sum.Sum(nil))
	return f.Name(), err
}

type counter struct{ n int64 }

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
