// Package pages takes rows out of Parquet files without making values of what
// stays. Start with [Take] and [NewWriter].
//
// An erasure writes every row group anew in which one of the persons stands, and
// of a thousand persons one stands in each. What it costs is therefore what a
// row costs that stays. A reader that makes arrays of a column, and a writer that
// looks each value up in a dictionary again, cost five times as much as what is
// done here: of a page the codes are read and stay codes, the values are copied in
// stretches, and the dictionary loses the words that no row has any more, because
// a word may have been of one person. Smallest and largest values are found anew
// for the same reason. A column that no row leaves is copied as it lies, unless
// its dictionary has words of other groups: some writers give each those of all.
//
// Headers, compression and the footer are arrow-go's. What is read here is what
// the lake's writer makes: flat columns in data pages of version 1, plain or by a
// dictionary. Anything else is [errors.ErrUnsupported], and must be read and
// written as values (Apache Parquet Format 2.x, Encodings and Data Pages).
package pages
