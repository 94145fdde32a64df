package file

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks/encode"
)

// formats is one block for each format and each compression.
func formats() []encode.Config {
	var all []encode.Config
	for _, f := range encode.Formats() {
		for _, c := range []encode.Compression{encode.None, encode.Zstd, encode.Snappy, encode.Gzip, encode.Deflate} {
			block := encode.NewConfig(f, encode.None)
			block.Compression = c
			if f == encode.Raw {
				block.Column, block.Delimiter = "name", "\n"
			}
			if len(block.Validate()) == 0 {
				all = append(all, block)
			}
		}
	}
	return all
}

// texts are rows whose values are not alike, as a batch.
func texts(t *testing.T, n int) *column.Batch {
	var rows []string
	for i := range n {
		rows = append(rows, fmt.Sprintf(`{"id":%d,"name":"%x"}`, i, i*i*7919))
	}
	return batch(t, rows...)
}

// The second attempt gets the rows in other batches.
func TestRedoneChunkIsTheSameFileInEveryFormat(t *testing.T) {
	all := formats()
	if len(all) != 6*4 {
		t.Fatalf("%d formats", len(all))
	}
	b := texts(t, 3000)
	selection := make([]int32, b.Rows)
	for i := range selection {
		selection[i] = int32(i)
	}
	for _, format := range all {
		t.Run(fmt.Sprintf("%s/%s", format.Type, format.Compression), func(t *testing.T) {
			c := inDirectory(t)
			c.Format = format
			k := newTask(t, c)
			attempt := func(step int) flow.Plan {
				for from := 0; from < b.Rows; from += step {
					if _, err := k.sink.Add(context.Background(), b.With(selection[from:min(from+step, b.Rows)])); err != nil {
						t.Fatal(err)
					}
				}
				k.plan()
				k.put()
				return *k.pending
			}
			first := attempt(b.Rows)
			path := k.files()[0]
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			k.pending = nil
			k.crash()
			again := attempt(777)
			got, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %d the first time: %v", len(got), len(want), err)
			}
			if first.Objects[0] != again.Objects[0] || int64(len(want)) != first.Objects[0].Bytes {
				t.Errorf("planned %+v, then %+v; %d bytes", first.Objects, again.Objects, len(want))
			}
		})
	}
}

func TestOneCSVHasOneHeader(t *testing.T) {
	c := oneFile(t)
	c.Format = encode.NewConfig(encode.CSV, encode.None)
	c.Format.LineBreak = "lf"
	k := newTask(t, c)
	k.add(ada)
	k.plan()
	k.put()
	k.crash() // redone: the header is there once all the same
	k.deliver(grace)
	k.crash()
	k.deliver(alan, edith)
	wantText(t, c.Path, "id,name\n1,Ada\n2,Grace\n3,Alan\n4,Edith\n")

	other := prepare(t, c)
	other.config.Append = true
	other.start()
	other.deliver(ada)
	wantText(t, c.Path, "id,name\n1,Ada\n2,Grace\n3,Alan\n4,Edith\n1,Ada\n")
}

func TestRawIsAppendedBehindADelimiter(t *testing.T) {
	c := oneFile(t)
	c.Format = encode.NewConfig(encode.Raw, encode.None)
	c.Format.Column, c.Format.Delimiter = "name", "--"
	k := newTask(t, c)
	k.deliver(ada, grace)
	k.crash()
	k.deliver(alan)
	wantText(t, c.Path, "Ada--Grace--Alan--")

	c.Append = true
	prepare(t, c).start()
	if err := os.Truncate(c.Path, 6); err != nil {
		t.Fatal(err)
	}
	wantPermanent(t, prepare(t, c).tryStart(), `does not end with the delimiter "--"`)
	c.Format.Delimiter = ""
	if err := prepare(t, c).tryStart(); err != nil {
		t.Errorf("without a delimiter any file can be gone on with: %v", err)
	}
}

func wantText(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s: %q, %v; want %q", filepath.Base(path), got, err, want)
	}
}
