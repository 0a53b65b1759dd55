package ingest

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ErrImporting: rows may still be written to a file that would be written anew.
var ErrImporting = errors.New("an import that has rows of the person in quarantine is running, " +
	"or stopped within the last hour: wait until it has ended, or import its file again")

// A file of the quarantine is written anew beside itself.
const anewSuffix = ".anew"

// FindInQuarantine calls found for each row in quarantine that is of one of the
// persons, and for each file there that cannot be read as one and names them.
//
// Whose a row is tells its layout. Where the row is too broken for that, it goes
// when one of the persons' numbers stands in it as a word.
func (e *Eraser) FindInQuarantine(ctx context.Context, persons []PersonID, found func(dataset, identity string)) error {
	return e.eachQuarantine(ctx, persons, func(f quarantineFile) error {
		if f.broken {
			found("quarantine file", filepath.Base(f.path))
		}
		for _, at := range f.goes {
			found("quarantine", fmt.Sprintf("%s:%d", filepath.Base(f.path), at))
		}
		return nil
	})
}

// EraseFromQuarantine takes them out. A file keeps its time, so that it is deleted
// by its age as before.
func (e *Eraser) EraseFromQuarantine(ctx context.Context, persons []PersonID) error {
	if len(persons) == 0 {
		return nil
	}
	im := e.Importer
	left, err := filepath.Glob(filepath.Join(im.quarantine, "*"+anewSuffix))
	for _, path := range left { // a crash left them
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		return fmt.Errorf("erase from quarantine: %w", err)
	}
	err = e.eachQuarantine(ctx, persons, func(f quarantineFile) error {
		if err := e.stillWritten(ctx, f); err != nil {
			return err
		}
		return e.withoutRows(ctx, f)
	})
	if err == nil {
		err = syncDir(im.quarantine)
	}
	if err != nil {
		return fmt.Errorf("erase from quarantine: %w", err)
	}
	return nil
}

// quarantineFile is a file with rows that go.
type quarantineFile struct {
	path   string
	row    *Quarantine // of the register; nil for a copy that somebody laid there
	goes   []int       // places of the rows
	keep   []string    // the others, as they stand in the file
	broken bool        // it cannot be read, and goes as a whole
}

func (e *Eraser) eachQuarantine(ctx context.Context, persons []PersonID, fn func(quarantineFile) error) error {
	if len(persons) == 0 {
		return nil
	}
	im := e.Importer
	register, err := im.store.Quarantines(ctx)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(im.quarantine)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !entry.Type().IsRegular() || strings.HasSuffix(entry.Name(), anewSuffix) {
			continue
		}
		f := quarantineFile{path: filepath.Join(im.quarantine, entry.Name())}
		at := slices.IndexFunc(register, func(q Quarantine) bool { return q.ImportID+".csv" == entry.Name() })
		if at >= 0 {
			f.row = &register[at]
		}
		if err := f.look(persons); err != nil {
			return fmt.Errorf("%s: %w", entry.Name(), err)
		}
		if f.broken || len(f.goes) > 0 {
			if err := fn(f); err != nil {
				return fmt.Errorf("%s: %w", entry.Name(), err)
			}
		}
	}
	return nil
}

// look finds which rows of a file go.
func (f *quarantineFile) look(persons []PersonID) error {
	rows, err := openQuarantine(f.path, DefaultMaxRecordBytes)
	if err != nil {
		return f.lookWhole(persons)
	}
	defer func() { _ = rows.Close() }() // it was only read
	whose := func(string) (PersonID, bool) { return PersonID{}, false }
	if f.row != nil {
		whose = f.row.whose()
	}
	for at := 0; ; at++ {
		raw, fields, bad, err := rows.outer.row()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			f.goes, f.keep = nil, nil
			return f.lookWhole(persons)
		}
		text, known := raw, false
		var p PersonID
		if !bad.bad() && len(fields) == len(quarantineHeader) {
			text = active(fields[len(fields)-1])
			p, known = whose(text)
		}
		if known && slices.Contains(persons, p) || !known && names(text, persons) {
			f.goes = append(f.goes, at)
		} else {
			f.keep = append(f.keep, raw)
		}
	}
}

func (f *quarantineFile) lookWhole(persons []PersonID) error {
	text, err := os.ReadFile(f.path)
	f.broken = err == nil && names(string(text), persons)
	return err
}

// names tells whether a text has one of the persons' numbers as a word.
func names(text string, persons []PersonID) bool {
	return slices.ContainsFunc(persons, func(p PersonID) bool {
		for from := 0; p.ID != ""; {
			at := strings.Index(text[from:], p.ID)
			if at < 0 {
				return false
			}
			start := from + at
			before, _ := utf8.DecodeLastRuneInString(text[:start])
			after, _ := utf8.DecodeRuneInString(text[start+len(p.ID):])
			if !partOfWord(before) && !partOfWord(after) {
				return true
			}
			from = start + 1
		}
		return false
	})
}

// partOfWord: Japanese has no spaces, so only the letters of identifiers count.
func partOfWord(r rune) bool {
	return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// whose tells by a file's layout whose a row is, where that can be told. Rows of
// shops and settlements are nobody's.
func (q *Quarantine) whose() func(row string) (PersonID, bool) {
	var l layout
	unknown := func(string) (PersonID, bool) { return PersonID{}, false }
	if json.Unmarshal([]byte(q.Layout), &l) != nil {
		return unknown
	}
	of := func(id string, ok bool) (PersonID, bool) { return PersonID{l.Source, id}, ok && id != "" }
	if l.Format == apiFormat {
		return func(row string) (PersonID, bool) {
			var r struct{ PersonID string }
			return of(r.PersonID, json.Unmarshal([]byte(row), &r) == nil && !strings.Contains(r.PersonID, "\uFFFD"))
		}
	}
	p, rows, err := l.reader()
	if err != nil {
		return unknown
	}
	person := func([]string) (string, bool) { return "", false }
	switch {
	case p.mapped == nil:
		if at := slices.Index(l.Header, "uid"); at >= 0 {
			person = func(fields []string) (string, bool) { return fields[at], true }
		}
	case p.mapped.mapping.Record == ShopRows || p.mapped.mapping.Record == SettlementRows:
		return func(string) (PersonID, bool) { return PersonID{}, true }
	default:
		field := "person_id"
		if p.mapped.mapping.Record == PersonRows {
			field = "id"
		}
		if at := slices.IndexFunc(p.mapped.bindings, func(b binding) bool { return b.field == field }); at >= 0 {
			b := &p.mapped.bindings[at]
			person = func(fields []string) (string, bool) { id, f := b.value(0, fields); return id, !f.bad() }
		}
	}
	return func(row string) (PersonID, bool) {
		if strings.HasSuffix(row, cutMark) || strings.Contains(row, "\uFFFD") {
			return PersonID{}, false
		}
		fields, f := rows.split(row)
		if f.bad() {
			return PersonID{}, false
		}
		return of(person(fields))
	}
}

// reader binds a layout's columns, for rows that are at hand as texts.
func (l layout) reader() (*plan, *quarantineReader, error) {
	p, rows := &plan{layout: l}, &quarantineReader{names: l.Header, comma: ','}
	if l.Format == MitakaTransactions {
		return p, rows, p.bind(nil)
	}
	m, err := ParseMapping(l.MapFile, []byte(l.Mapping))
	if err != nil {
		return nil, nil, err
	}
	m.Source = l.Source
	switch l.Format {
	case CSV:
		rows.comma = m.Delimiter[0]
	case JSONL:
		problem := ""
		if rows.flat, problem = newFlattener(l.Header, m.Ignore); problem != "" {
			return nil, nil, fmt.Errorf("%w: %s", ErrMapping, problem)
		}
	}
	return p, rows, p.bind(m)
}

// stillWritten refuses a file that an import may be adding rows to.
func (e *Eraser) stillWritten(ctx context.Context, f quarantineFile) error {
	if f.row == nil {
		return nil
	}
	imports, err := e.Importer.store.Imports(ctx, 1<<31-1)
	if err != nil {
		return err
	}
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(imports, func(i ImportRecord) bool { return i.ID == f.row.ImportID })
	if at >= 0 && imports[at].FinishedAt.IsZero() && e.Importer.now().Sub(info.ModTime()) < time.Hour {
		return ErrImporting
	}
	return nil
}

// withoutRows writes a file anew. The register is told before, so that a file never
// seems to have lost rows.
func (e *Eraser) withoutRows(ctx context.Context, f quarantineFile) error {
	im := e.Importer
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	if f.row != nil {
		q := *f.row
		q.Rows = int64(len(f.keep))
		if err := im.store.PutQuarantine(ctx, q); err != nil {
			return err
		}
		if q.State == QuarantineOpen && q.Rows == 0 {
			q.State, q.ChangedAt, q.ChangedBy, q.Reason = QuarantineDiscarded, im.now(), "meguri", "消去 / erased"
			if _, err := im.store.SettleQuarantine(ctx, q); err != nil {
				return err
			}
		}
	}
	im.step("quarantine registered")
	if len(f.keep) == 0 {
		return os.Remove(f.path)
	}
	var b bytes.Buffer
	b.Write(byteOrderMark)
	header := csv.NewWriter(&b)
	header.UseCRLF = true
	if err := header.Write(quarantineHeader); err != nil {
		return err
	}
	header.Flush()
	for _, row := range f.keep {
		b.WriteString(row + "\r\n")
	}
	anew := f.path + anewSuffix
	file, err := os.OpenFile(anew, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(b.Bytes())
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	im.step("quarantine written")
	if err := os.Rename(anew, f.path); err != nil {
		return err
	}
	return os.Chtimes(f.path, info.ModTime(), info.ModTime())
}
