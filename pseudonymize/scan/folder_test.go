package scan_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/google/go-cmp/cmp"

	"meguri/pseudonymize/scan"
)

// writeParquet writes a file of every type that a text can hide in.
func writeParquet(t *testing.T, path, shop, item, token string, number int64, list string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	words := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "shop_id", Type: words}, {Name: "item", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "token", Type: &arrow.FixedSizeBinaryType{ByteWidth: 16}}, {Name: "amount_yen", Type: arrow.PrimitiveTypes.Int64},
		{Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String)},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := range 3 {
		if err := b.Field(0).(*array.BinaryDictionaryBuilder).AppendString([]string{"s001", shop, shop}[i]); err != nil {
			t.Fatal(err)
		}
		b.Field(1).(*array.StringBuilder).Append([]string{"x", item, item}[i])
		b.Field(2).(*array.FixedSizeBinaryBuilder).Append([]byte([]string{"\x00\x01\x02\x03\xfc\xfd\xfe\xff\x00\x01\x02\x03\xfc\xfd\xfe\xff", token, token}[i]))
		b.Field(3).(*array.Int64Builder).Append([]int64{1500, number, number}[i])
		tags := b.Field(4).(*array.ListBuilder)
		tags.Append(true)
		tags.ValueBuilder().(*array.StringBuilder).Append(list)
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := pqarrow.NewFileWriter(schema, f, parquet.NewWriterProperties(), pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(batch); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFolder_FindsWhatHidesInAnyType(t *testing.T) {
	dir := t.TempDir()
	writeParquet(t, filepath.Join(dir, "payment", "month=2026-06", "000001.parquet"), "s002", "milk", "\xff\xfe\x00\x01\x02\x03\xfc\xfd\xfe\xff\x00\x01\x02\x03\xfc\xfd", 900, "ok")
	writeParquet(t, filepath.Join(dir, "visit", "phone=09012345678", "000001.parquet"), "山田太郎", "taro@example.jp", "09012345678\x00\x00\x00\x00\x00", 4111111111111111, "123456789018")
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), []byte("090-1234-5678"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := scan.Folder(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	file := "visit/phone=09012345678/000001.parquet"
	want := scan.Report{Files: 2, Rows: 6, Findings: []scan.Finding{
		{File: file, Column: "path", Found: scan.Counts{scan.Phone: 1}},
		{File: file, Column: "shop_id", Found: scan.Counts{scan.Name: 1}},
		{File: file, Column: "item", Found: scan.Counts{scan.Mail: 1}},
		{File: file, Column: "token", Found: scan.Counts{scan.Phone: 1}},
		{File: file, Column: "amount_yen", Found: scan.Counts{scan.Card: 1}},
		{File: file, Column: "tags", Found: scan.Counts{scan.MyNumber: 1}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFolder_NamesTheFileThatItCannotRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.parquet"), []byte("no parquet at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := scan.Folder(context.Background(), dir); err == nil || !strings.Contains(err.Error(), "x.parquet") {
		t.Errorf("got %v", err)
	}
	if _, err := scan.Folder(context.Background(), filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there was scanned")
	}
}
