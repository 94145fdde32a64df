package expr

import (
	"bytes"
	"runtime"
	"testing"
	"weak"

	"github.com/millrace-io/millrace/engine/column"
)

// doubled makes each text twice as long.
func doubled() *Program {
	return &Program{root: &scalar{t: text, args: []node{&reference{t: text}}, text: func(dst []byte, v []value) ([]byte, bool) {
		return append(append(dst, v[0].s...), v[0].s...), true
	}}}
}

func TestDictionariesThatWereGivenUpAreNotKept(t *testing.T) {
	p := doubled()
	var old weak.Pointer[column.Dict]
	for i := range 2 {
		c := words(8, "a", "b")
		if i == 0 {
			old = weak.Make(c.Dict)
		}
		if _, err := p.Eval(&column.Batch{Rows: 8, Columns: []*column.Column{c}}); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	if old.Value() != nil {
		t.Error("the first dictionary is kept by what was made of it")
	}
	runtime.KeepAlive(p)
}

func TestTextsOfManyDictionariesStayWithinTheirMemory(t *testing.T) {
	p := doubled()
	var all []*column.Column // alive, as those of the decoders of many shards
	for i := range 40 {
		all = append(all, words(8, string(bytes.Repeat([]byte{byte('a' + i%26)}, 256<<10)), "b"))
		if _, err := p.Eval(&column.Batch{Rows: 8, Columns: all[i:]}); err != nil {
			t.Fatal(err)
		}
	}
	held := 0
	for _, m := range p.x.mappings {
		held += cap(m.out.Bytes)
	}
	if held == 0 || held > mostMapped+2<<20 {
		t.Errorf("%d bytes of texts are kept, want about %d", held, mostMapped)
	}
	runtime.KeepAlive(all)
}
