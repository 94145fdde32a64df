package encode

import (
	"bytes"
	"reflect"
	"testing"
)

// What a look at some values decides is what a dictionary of all of them would have.
func TestExpectedSmallFilesAreAsGoodAsOthers(t *testing.T) {
	s, batches := clicks(4000, 1000)
	w := writer(t, s, parquetOptions(Zstd))
	for i, b := range batches {
		var out bytes.Buffer
		e := w.Open(&out)
		Expect(e, 1000)
		if err := e.Add(b); err != nil {
			t.Fatal(err)
		}
		f := e.(*parquetFile)
		for j := range f.chunks {
			k := &f.chunks[j]
			if k.leaf.name == "session_id" && k.dict != nil || k.leaf.name == "action" && k.dict == nil {
				t.Errorf("file %d: column %s: has a dictionary: %v", i, k.leaf.name, k.dict != nil)
			}
		}
		if err := e.Finish(); err != nil {
			t.Fatal(err)
		}
		usual := encodeBatches(t, w, b)
		if n, m := out.Len(), len(usual); n > m+m/100 {
			t.Errorf("file %d has %d bytes, %d if it was not expected", i, n, m)
		}
		_, got := readLeaves(t, out.Bytes())
		_, want := readLeaves(t, usual)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("file %d has other values if it was expected", i)
		}
	}
}
