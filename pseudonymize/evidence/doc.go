// Package evidence writes down what a run did with every column of a dataset,
// by which clause of Rule 31 (standards of 仮名加工情報), and what the scanners
// found: as JSON for programs, and as a page in Japanese for the file of the
// person in charge. Start with [Write]. It holds counts and names of columns,
// and no value.
package evidence
