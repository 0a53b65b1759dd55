// Package ingest turns bytes into checked records on the personal plane: files
// from a provider's office, files from shops, and what a payment-data API
// hands over. Start with [Open] and [Importer.Import]; API pulls use
// [Importer.AddWithCursor].
//
// What the package promises:
//
//   - Nothing is counted twice. The identity of a payment event is its source
//     and the source's own record ID; that of a row of another dataset also
//     its dataset and version. Where a provider is present in several ways
//     ([Importer.SetWays]) its name is the source of all of them. The same
//     identity with the same content
//     is a duplicate; with other content it goes to quarantine. That holds
//     within a file, across files, and after a crash at any moment.
//   - Nothing is dropped in silence. Every row read is accepted, a duplicate,
//     or in the quarantine file with its line, its field, the problem and what
//     to do; the three numbers add up to the rows read, or the run fails.
//   - A bad row never stops the good ones. What stops a run is a file that
//     cannot be what it is said to be: no rows, a column missing, a column
//     that nobody decided about.
//   - Memory is bounded: a file of any size passes in chunks, and so does a
//     line of any length.
//
// # Datasets and formats
//
// Payments have a path of their own ([Record]); every other dataset is a table
// of fields in datasets.go, of which parser, schema, sample, template and page
// are made. A file is CSV, JSON Lines or Parquet; each becomes rows of texts by
// column (rowSource), which a [Mapping] reads.
//
// # Segments
//
// Accepted records are kept in segments: Arrow IPC files of one dataset's
// schema ([PaymentSchema], [Dataset.Schema]) under personal/segments, numbered
// from 000001 and never changed. A segment is written to a temporary file,
// synced and named before the transaction commits that enters its records'
// identities in the index and registers it. A crash between leaves a file that
// no transaction knows; [Open] removes it.
//
// # What counts as content
//
// The content of a record is what happened: kind, service, person, shop,
// merchant, terminal, amount, time to the second, target and group. It is not what may
// change afterwards: whether the payment is still active (a cancellation has a
// record of its own), how the shop is called now, and the consent, which can be
// given again. An export that shows a later state of the same payment is
// therefore a duplicate, and the first state read stays.
//
// # What is not kept
//
// Free-text notes, the names of terminals, balances before and after, and the
// two ends of a transfer of points are read and forgotten: no statistic needs
// them, and notes may hold names. Errors and their texts never hold the value
// of a field; only the quarantine file, which stays on the personal plane and
// is readable by its owner alone, holds the row as it came.
package ingest
