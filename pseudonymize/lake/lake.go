// Package lake keeps the pseudonymized rows (仮名加工情報) as Parquet files in a
// folder, partitioned by month, that any tool can read.
package lake
