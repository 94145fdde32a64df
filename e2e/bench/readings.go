package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// Readings are small events: one every two milliseconds of event time, each with a time of its own, mixed up
// over half a second. k is one of 1,000 keys at random; n goes through a million numbers in an order without
// pattern, each as often as the others.
const (
	readingKeys     = 1000
	readingUsers    = 1_000_000
	readingInterval = 2 * time.Millisecond
	readingBlock    = 256 // events that are mixed up among each other
)

// readingColumns are those of the readings for DuckDB.
const readingColumns = `{ts: 'TIMESTAMP', k: 'BIGINT', v: 'DOUBLE', n: 'BIGINT', city: 'VARCHAR', ok: 'BOOLEAN'}`

var cities = []string{
	"Bari", "Bern", "Bonn", "Brno", "Cork", "Gent", "Graz", "Kiel", "Linz", "Lund", "Lyon", "Metz", "Nice", "Oslo", "Oulu", "Pisa", "Riga",
	"Rome", "Turku", "Vaasa",
}

// readings writes n of them as NDJSON and returns the file; the same ones every time.
func readings(dir string, n int) (path string, err error) {
	path = filepath.Join(dir, "readings.ndjson")
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	start, random := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), rand.New(rand.NewPCG(42, 0))
	var line []byte
	for i := range n {
		// An odd factor visits each place of the block once.
		turn := i - i%readingBlock + i*167%readingBlock
		line = append(line[:0], `{"ts":"`...)
		line = start.Add(time.Duration(turn)*readingInterval).AppendFormat(line, "2006-01-02T15:04:05.000Z")
		line = fmt.Appendf(line, `","k":%d,"v":%.1f,"n":%d,"city":"%s","ok":%t}`+"\n", random.IntN(readingKeys), float64(random.IntN(1000))/10,
			i*7_368_787%readingUsers, cities[random.IntN(len(cities))], random.IntN(2) == 0)
		if _, err := w.Write(line); err != nil {
			return "", fmt.Errorf("write readings to %s: %w", path, err)
		}
	}
	return path, w.Flush()
}

// readingNames writes a table that names each key of the readings.
func readingNames(dir string) (path string, err error) {
	text := []byte("k,name\n")
	for k := range readingKeys {
		text = fmt.Appendf(text, "%d,sensor-%04d\n", k, k)
	}
	path = filepath.Join(dir, "names.csv")
	return path, os.WriteFile(path, text, 0o644)
}
