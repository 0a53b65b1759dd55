package ingest

import (
	"encoding/json"
	"fmt"
)

// layout is how a file was read, with all that is needed to read its rows
// again when they come from a quarantine file.
type layout struct {
	Format   Format   `json:"format"`
	Source   string   `json:"source"`
	Encoding Encoding `json:"encoding,omitempty"`
	Header   []string `json:"header,omitempty"`
	MapFile  string   `json:"map_file,omitempty"`
	Mapping  string   `json:"mapping,omitempty"` // the document
}

func (l *layout) text() string {
	text, err := json.Marshal(l)
	if err != nil { // it holds only texts
		panic(err)
	}
	return string(text)
}

// plan is a file that is open, with the parser that fits it.
type plan struct {
	layout layout
	rows   rowSource
	open   func() (rowSource, error) // the file once more
	prefix func(bytes int64) (hash uint64, err error)
	mapped *mappedParser                        // or nil
	parse  func(int64, []string, *Record) fault // of payments
}

// openPlan opens a file and binds its columns.
func openPlan(path string, opts Options) (_ *plan, err error) {
	m := opts.Mapping
	if m != nil && opts.Format == "" {
		opts.Format = m.Format
	}
	if opts.MaxRecordBytes <= 0 {
		opts.MaxRecordBytes = DefaultMaxRecordBytes
	}
	l := layout{Format: opts.Format, Encoding: opts.Encoding, Source: opts.Source}
	comma := byte(',')
	switch opts.Format {
	case MitakaTransactions:
		if l.Source == "" {
			l.Source = mitakaSource
		}
	case CSV, JSONL, Parquet:
		if m == nil || m.Record == "" {
			return nil, fmt.Errorf("%w: the format %s needs a mapping", ErrMapping, opts.Format)
		}
		if m.Format != opts.Format {
			return nil, fmt.Errorf("%w: it is for %s, and the format %s was asked for", ErrMapping, m.Format, opts.Format)
		}
		l.Source, l.MapFile, l.Mapping, comma = m.Source, m.file, m.text, m.Delimiter[0]
		if m.Encoding != "" && m.Encoding != Auto {
			l.Encoding = m.Encoding
		}
	default:
		return nil, fmt.Errorf("there is no format %q: use %s, %s, %s or %s", opts.Format, MitakaTransactions, CSV, JSONL, Parquet)
	}
	if err := checkSource(l.Source); err != nil {
		return nil, err
	}
	p := &plan{layout: l}
	text := func(columns *flattener) (*rowReader, error) {
		rr, err := openText(path, l.Encoding, comma, opts.MaxRecordBytes, columns)
		if err == nil && p.mapped != nil && p.mapped.trailer != nil {
			rr.trailer = p.mapped.trailer.is
		}
		return rr, err
	}
	switch opts.Format {
	case Parquet:
		p.open = func() (rowSource, error) { return openParquet(path, m.Ignore, opts.MaxRecordBytes) }
	case JSONL:
		p.layout.Encoding, l.Encoding = UTF8, UTF8
		p.open = func() (rowSource, error) {
			flat, problem := newFlattener(m.names(), m.Ignore)
			if problem != "" {
				return nil, fmt.Errorf("%s: %w: %s", m.file, ErrMapping, problem)
			}
			return text(flat)
		}
	default:
		p.open = func() (rowSource, error) { return text(nil) }
	}
	p.prefix = func(bytes int64) (uint64, error) { return prefixHash(path, l.Encoding, bytes) }
	if p.rows, err = p.open(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = p.rows.Close() // the reason above says more
		}
	}()
	switch rows := p.rows.(type) {
	case *rowReader:
		rows.progress = opts.Progress
	case *parquetReader:
		rows.progress = opts.Progress
	}
	if p.layout.Header, err = p.rows.header(); err != nil {
		return nil, err
	}
	if err := p.bind(m); err != nil {
		return nil, err
	}
	if rows, ok := p.rows.(*parquetReader); ok {
		return p, p.mapped.checkTypes(rows.names, rows.types)
	}
	if rows := p.rows.(*rowReader); p.mapped != nil && p.mapped.trailer != nil {
		rows.trailer = p.mapped.trailer.is
	}
	return p, nil
}

// bind makes the parser for the header.
func (p *plan) bind(m *Mapping) (err error) {
	if p.layout.Format == MitakaTransactions {
		mitaka, err := newMitakaParser(p.layout.Source, p.layout.Header)
		if err != nil {
			return err
		}
		p.parse = mitaka.parse
		return nil
	}
	if p.mapped, err = m.bind(p.layout.Header); err != nil {
		return err
	}
	p.parse = p.mapped.parse
	return nil
}

func (p *plan) dataset() string {
	if p.mapped == nil {
		return PaymentDataset
	}
	return string(p.mapped.mapping.Record)
}

func (p *plan) trailer() *trailerRow {
	if p.mapped == nil {
		return nil
	}
	return p.mapped.trailer
}

// column names a field as the file does.
func (p *plan) column(field string) string {
	if p.mapped == nil {
		return mitakaColumn(field)
	}
	return p.mapped.columnOf(field)
}
