package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// Report says what was looked at and found below a folder.
type Report struct {
	Files    int
	Rows     int64
	Findings []Finding
}

// Finding is a column of a file that holds what must not be there.
type Finding struct {
	File   string // below the folder, with slashes
	Column string // or "path", for the names of folders
	Found  Counts
}

// Folder scans every column of every Parquet file below a folder, whatever
// wrote it, and the names of the folders, which are columns too where a lake is
// partitioned.
func Folder(ctx context.Context, dir string) (Report, error) {
	var r Report
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".parquet") {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		folders := Counts{}
		for _, part := range strings.Split(filepath.ToSlash(filepath.Dir(name)), "/") {
			column, value, partition := strings.Cut(part, "=")
			if !partition {
				column, value = "", part
			}
			folders.Add(Column(column, func(yield func(string) bool) { yield(value) }))
		}
		if len(folders) > 0 {
			r.Findings = append(r.Findings, Finding{name, "path", folders})
		}
		rows, found, err := parquetFile(ctx, path, name)
		if err != nil {
			return fmt.Errorf("scan %s: %w", name, err)
		}
		r.Files++
		r.Rows += rows
		r.Findings = append(r.Findings, found...)
		return nil
	})
	if err != nil {
		return r, fmt.Errorf("scan folder: %w", err)
	}
	return r, nil
}

func parquetFile(ctx context.Context, path, name string) (rows int64, found []Finding, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, nil, err
	}
	pq, err := file.NewParquetReader(f)
	if err != nil {
		return 0, nil, errors.Join(err, f.Close())
	}
	defer func() { err = errors.Join(err, pq.Close()) }()
	properties := pqarrow.ArrowReadProperties{BatchSize: 64 << 10}
	for i := range pq.MetaData().Schema.NumColumns() {
		properties.SetReadDict(i, true) // each word once
	}
	reader, err := pqarrow.NewFileReader(pq, properties, memory.DefaultAllocator)
	if err != nil {
		return 0, nil, err
	}
	batches, err := reader.GetRecordReader(ctx, nil, nil)
	if err != nil {
		return 0, nil, err
	}
	defer batches.Release()
	var watches []*Watch
	for _, field := range batches.Schema().Fields() {
		watches = append(watches, NewWatch(field.Name))
	}
	for batches.Next() {
		batch := batches.RecordBatch()
		rows += batch.NumRows()
		for i, w := range watches {
			for v := range Texts(batch.Column(i)) {
				w.Look(v)
			}
		}
	}
	for i, w := range watches {
		if len(w.Found) > 0 {
			found = append(found, Finding{name, batches.Schema().Field(i).Name, w.Found})
		}
	}
	return rows, found, batches.Err()
}
