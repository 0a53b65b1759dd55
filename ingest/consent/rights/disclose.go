package rights

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"meguri/ingest"
	"meguri/ingest/consent"
)

// Row is a row of what there is about a person, field by field.
type Row []Field

// Field is a name and a value, as text.
type Field struct{ Name, Value string }

// Source is a place that may have data about a person.
type Source interface {
	// Collect returns the place's name, which is a file name, and the rows. All
	// rows of a place have the same fields.
	Collect(ctx context.Context, p consent.Person) (name string, rows iter.Seq2[Row, error])
}

// SourceFunc is a source that is one function.
type SourceFunc func(ctx context.Context, p consent.Person) (string, iter.Seq2[Row, error])

// Collect implements Source.
func (f SourceFunc) Collect(ctx context.Context, p consent.Person) (string, iter.Seq2[Row, error]) {
	return f(ctx, p)
}

// Disclosed is what was written for a person.
type Disclosed struct {
	At    time.Time       `json:"at"`
	Files []DisclosedFile `json:"files"`
}

// DisclosedFile is a file of a disclosure.
type DisclosedFile struct {
	Name   string `json:"name"`
	Rows   int    `json:"rows"`
	SHA256 string `json:"sha256"`
}

// Disclose writes all that the sources have about a person into a new folder, as
// JSON and as CSV, readable by its owner alone. The answer is the hash of its
// list of files.
func Disclose(ctx context.Context, dir string, people []consent.Person, sources []Source, at time.Time) (d Disclosed, hash string, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return d, "", fmt.Errorf("disclose: the folder must be new: %w", err)
	}
	d.At = at.UTC()
	write := func(name string, rows int, text []byte) error {
		sum := sha256.Sum256(text)
		d.Files = append(d.Files, DisclosedFile{name, rows, hex.EncodeToString(sum[:])})
		return os.WriteFile(filepath.Join(dir, name), text, 0o600)
	}
	for _, s := range sources {
		name, all := "", []Row(nil)
		for _, p := range people {
			of, rows := s.Collect(ctx, p)
			name = of
			for row, err := range rows {
				if err != nil {
					return d, "", fmt.Errorf("disclose %s: %w", name, err)
				}
				all = append(all, row)
			}
		}
		text, err := asJSON(all)
		if err != nil {
			return d, "", fmt.Errorf("disclose %s: %w", name, err)
		}
		table, err := asCSV(all)
		if err != nil {
			return d, "", fmt.Errorf("disclose %s: %w", name, err)
		}
		if err := write(name+".json", len(all), text); err != nil {
			return d, "", err
		}
		if err := write(name+".csv", len(all), table); err != nil {
			return d, "", err
		}
	}
	list, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return d, "", err
	}
	sum := sha256.Sum256(list)
	return d, hex.EncodeToString(sum[:]), os.WriteFile(filepath.Join(dir, "files.json"), append(list, '\n'), 0o600)
}

// asJSON writes rows as objects, their fields in order.
func asJSON(rows []Row) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("[")
	for i, row := range rows {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString("\n  {")
		for j, f := range row {
			name, err := json.Marshal(f.Name)
			if err != nil {
				return nil, err
			}
			value, err := json.Marshal(f.Value)
			if err != nil {
				return nil, err
			}
			if j > 0 {
				b.WriteString(", ")
			}
			b.Write(append(append(name, ": "...), value...))
		}
		b.WriteString("}")
	}
	b.WriteString("\n]\n")
	return b.Bytes(), nil
}

// asCSV writes rows as CSV for spreadsheets: marked as UTF-8, and nothing that
// they would take for a formula.
func asCSV(rows []Row) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("\ufeff")
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	for i, row := range rows {
		names, values := make([]string, len(row)), make([]string, len(row))
		for j, f := range row {
			names[j], values[j] = f.Name, f.Value
			if f.Value != "" && strings.ContainsRune("=+-@\t\r", rune(f.Value[0])) {
				values[j] = "'" + f.Value
			}
		}
		if i == 0 {
			if err := w.Write(names); err != nil {
				return nil, err
			}
		} else if !slices.EqualFunc(row, rows[0], func(a, b Field) bool { return a.Name == b.Name }) {
			return nil, fmt.Errorf("a row has other fields than the first: this is a fault of the program")
		}
		if err := w.Write(values); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

// Provisions are a person's records of provision (第三者提供記録).
func Provisions(d *consent.Desk) Source {
	return SourceFunc(func(ctx context.Context, p consent.Person) (string, iter.Seq2[Row, error]) {
		return "provisions", func(yield func(Row, error) bool) {
			var rows []Row
			err := d.Provisions(ctx, p, func(h consent.Handed) error {
				rows = append(rows, Row{{"direction", string(h.Direction)}, {"at", h.At.Format(time.RFC3339)}, {"party", h.Party.Name}, {"address", h.Party.Address},
					{"representative", h.Party.Representative}, {"items", strings.Join(h.Items, " ")}, {"basis", h.Basis}, {"origin", h.Origin}})
				return nil
			})
			yieldAll(rows, err, yield)
		}
	})
}

// Consents are a person's receipts and withdrawals.
func Consents(d *consent.Desk) Source {
	return SourceFunc(func(ctx context.Context, p consent.Person) (string, iter.Seq2[Row, error]) {
		return "consents", func(yield func(Row, error) bool) {
			events, err := d.Of(ctx, p)
			var rows []Row
			for _, v := range events {
				row := Row{{"what", "consent"}}
				if c := v.Receipt; c != nil {
					row = append(row, Field{"at", c.At.Format(time.RFC3339)}, Field{"number", c.ID}, Field{"text", c.Text}, Field{"purposes", strings.Join(c.Purposes, " ")},
						Field{"items", strings.Join(c.Items, " ")}, Field{"route", string(c.Route)})
				}
				if w := v.Withdrawal; w != nil {
					row[0].Value = "withdrawal"
					if w.Hold {
						row[0].Value = "hold"
					}
					row = append(row, Field{"at", w.At.Format(time.RFC3339)}, Field{"number", ""}, Field{"text", ""}, Field{"purposes", strings.Join(w.Purposes, " ")},
						Field{"items", strings.Join(w.Items, " ")}, Field{"route", string(w.Route)})
				}
				rows = append(rows, row)
			}
			yieldAll(rows, err, yield)
		}
	})
}

func yieldAll(rows []Row, err error, yield func(Row, error) bool) {
	for _, row := range rows {
		if !yield(row, nil) {
			return
		}
	}
	if err != nil {
		yield(nil, err)
	}
}

// Imported is what the importer has: the person's attributes, and the records in
// its segments. Segments are read from end to end: they have no index of persons.
type Imported interface {
	Persons(ctx context.Context, source, after string, limit int) ([]ingest.Person, error)
	Segments(ctx context.Context) ([]ingest.Segment, error)
}

// Attributes are what the importer knows about a person.
func Attributes(im Imported) Source {
	return SourceFunc(func(ctx context.Context, p consent.Person) (string, iter.Seq2[Row, error]) {
		return "attributes", func(yield func(Row, error) bool) {
			const page = 5000
			for after := ""; ; {
				persons, err := im.Persons(ctx, p.Source, after, page)
				if err != nil {
					yield(nil, err)
					return
				}
				for _, a := range persons {
					after = a.ID
					if a.ID == p.ID {
						yield(Row{{"source", a.Source}, {"id", a.ID}, {"sex", a.Sex}, {"born_on", a.BornOn}, {"area", a.Area}, {"consent_id", a.ConsentID}}, nil)
						return
					}
				}
				if len(persons) < page {
					return
				}
			}
		}
	})
}

// Corrected is what was corrected at persons' requests.
type Corrected interface {
	Corrections(ctx context.Context) ([]ingest.Correction, error)
}

// Corrections are what was corrected of a person.
func Corrections(im Corrected) Source {
	return SourceFunc(func(ctx context.Context, p consent.Person) (string, iter.Seq2[Row, error]) {
		return "corrections", func(yield func(Row, error) bool) {
			all, err := im.Corrections(ctx)
			var rows []Row
			for _, c := range all {
				if c.Source == p.Source && c.PersonID == p.ID {
					rows = append(rows, Row{{"at", c.At.Format(time.RFC3339)}, {"field", c.Field}, {"old", link(c.Old)}, {"new", link(c.New)},
						{"request", c.Request}, {"reason", c.Reason}, {"by", c.By}})
				}
			}
			yieldAll(rows, err, yield)
		}
	})
}

// link writes a link's end as calls do.
func link(text string) string { return strings.Replace(text, "\x1f", "=", 1) }

// Records are a person's rows of a dataset in the importer's segments.
func Records(im Imported, dataset string) Source {
	name := "records"
	if dataset != ingest.PaymentDataset {
		name = dataset + "s"
	}
	return SourceFunc(func(ctx context.Context, p consent.Person) (string, iter.Seq2[Row, error]) {
		return name, func(yield func(Row, error) bool) {
			segments, err := im.Segments(ctx)
			if err != nil {
				yield(nil, err)
				return
			}
			schema := ingest.SchemaOf(dataset)
			source, person := schema.FieldIndices("source")[0], schema.FieldIndices("person_id")[0]
			for _, s := range segments {
				if s.Dataset != dataset {
					continue
				}
				for batch, err := range ingest.OpenSegment(s.Path) {
					if err == nil {
						err = ctx.Err()
					}
					if err != nil {
						yield(nil, err)
						return
					}
					for i := range int(batch.NumRows()) {
						if batch.Column(person).IsNull(i) || batch.Column(person).ValueStr(i) != p.ID || batch.Column(source).ValueStr(i) != p.Source {
							continue
						}
						var row Row
						for c, f := range schema.Fields() {
							value := ""
							if !batch.Column(c).IsNull(i) {
								value = batch.Column(c).ValueStr(i)
							}
							row = append(row, Field{f.Name, value})
						}
						if !yield(row, nil) {
							return
						}
					}
				}
			}
		}
	})
}
