package versions

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/memory"
)

func schema(fields ...any) *column.Schema {
	s := &column.Schema{}
	for i := 0; i < len(fields); i += 2 {
		s.Fields = append(s.Fields, column.Field{Name: fields[i].(string), Type: column.Type{Kind: fields[i+1].(column.Kind)}})
	}
	return s
}

func open(t *testing.T, meta stream.Meta, add bool) *Stream {
	t.Helper()
	s, err := Open(t.Context(), meta, "clicks", "00ff", Options{Add: add, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func saw(pairs ...string) *Observer {
	var o Observer
	for i := 0; i < len(pairs); i += 2 {
		o.Observe([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	return &o
}

func text(v Version) string {
	return fmt.Sprint(v.Number, " ", column.Type{Kind: column.Struct, Fields: v.Schema.Fields})
}

func newMeta(t *testing.T) stream.Meta {
	t.Helper()
	b, err := memory.Open(memory.NewStore(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return b.Meta()
}

func TestVersionsOnlyGrow(t *testing.T) {
	meta := newMeta(t)
	s := open(t, meta, true)
	if s.Current().Number != 0 {
		t.Fatal("a new stream has a version")
	}
	first := Version{Schema: schema("id", column.BigInt, "n", column.BigInt, Rest, column.JSON), Fixed: []string{"id"}, Origin: FromSample}
	if _, err := s.Put(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		seen *Observer
		want string
	}{
		{saw("n", "1.5", "x", "true"), "2 {id: bigint, n: double, _rest: json, x: boolean}"},
		{saw("n", "1.5", "x", "false"), "2 {id: bigint, n: double, _rest: json, x: boolean}"},
		{saw("id", `"a"`, "n", `{"a":1}`, "y", "null", Rest, "1"), "2 {id: bigint, n: double, _rest: json, x: boolean}"},
		{saw("n", `"a"`, "o", `{"a":1}`), "3 {id: bigint, n: string, _rest: json, x: boolean, o: {a: bigint}}"},
		{saw("o", `{"b":[1]}`, "o", `{"a":2.5}`), "4 {id: bigint, n: string, _rest: json, x: boolean, o: {a: double, b: [bigint]}}"},
	} {
		v, err := s.Extend(t.Context(), step.seen)
		if err != nil || text(v) != step.want {
			t.Errorf("got %s, want %s (%v)", text(v), step.want, err)
		}
	}
	again := open(t, meta, true)
	if diff := cmp.Diff(s.Current(), again.Current()); diff != "" {
		t.Error(diff)
	}
	old, err := again.At(t.Context(), 1)
	if err != nil || text(old) != "1 {id: bigint, n: bigint, _rest: json}" || old.Origin != FromSample {
		t.Errorf("version 1 is %s (%v)", text(old), err)
	}
	if _, err := again.At(t.Context(), 9); !errors.Is(err, stream.ErrNotFound) {
		t.Error(err)
	}
}

func TestWithoutAddTypesWidenAndColumnsStay(t *testing.T) {
	s := open(t, newMeta(t), false)
	if _, err := s.Put(t.Context(), Version{Schema: schema("n", column.BigInt)}); err != nil {
		t.Fatal(err)
	}
	v, err := s.Extend(t.Context(), saw("x", "1", "n", "2.5"))
	if err != nil || text(v) != "2 {n: double}" {
		t.Errorf("%s (%v)", text(v), err)
	}
}

func TestTheSameSchemaIsNoNewVersion(t *testing.T) {
	s := open(t, newMeta(t), true)
	for range 2 {
		if v, err := s.Put(t.Context(), Version{Schema: schema("n", column.BigInt)}); err != nil || v.Number != 1 {
			t.Errorf("%d (%v)", v.Number, err)
		}
	}
}

func TestTwoProcessesThatWidenAgree(t *testing.T) {
	meta := newMeta(t)
	if _, err := open(t, meta, true).Put(t.Context(), Version{Schema: schema("n", column.BigInt)}); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 8 {
		s := open(t, meta, true)
		all.Go(func() {
			if _, err := s.Extend(t.Context(), saw(fmt.Sprint("x", i), "1", "n", "0.5")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	v := open(t, meta, true).Current()
	if v.Number != 9 || len(v.Schema.Fields) != 9 {
		t.Error(text(v))
	}
}

func TestColumnsBeyondTheLimitStayInTheRest(t *testing.T) {
	s := open(t, newMeta(t), true)
	full := schema("n", column.BigInt)
	for i := range MaxFields - 2 {
		full.Fields = append(full.Fields, column.Field{Name: fmt.Sprint("f", i), Type: column.Type{Kind: column.BigInt}})
	}
	if _, err := s.Put(t.Context(), Version{Schema: full}); err != nil {
		t.Fatal(err)
	}
	v, err := s.Extend(t.Context(), saw("a", "1", "b", "1", "n", "0.5"))
	if err != nil || len(v.Schema.Fields) != MaxFields || v.Schema.Index("a") < 0 || v.Schema.Fields[0].Type.Kind != column.Double {
		t.Errorf("%d fields (%v)", len(v.Schema.Fields), err)
	}
}

func TestObserverIsBounded(t *testing.T) {
	var o Observer
	for i := range 100_000 {
		o.Observe(fmt.Append(nil, "k", i), []byte("1"))
		o.Observe([]byte("same"), []byte("1"))
	}
	if len(o.seen) > maxNames || o.values > maxValues {
		t.Errorf("%d names, %d values", len(o.seen), o.values)
	}
}

func FuzzDecode(f *testing.F) {
	elem := column.Type{Kind: column.Struct, Fields: []column.Field{{Name: "a b", Type: column.Type{Kind: column.Decimal, Precision: 10, Scale: 2}}}}
	good, err := Encode(Version{Number: 3, Schema: &column.Schema{Fields: []column.Field{{Name: "l", Type: column.Type{Kind: column.List, Elem: &elem}}}}, Fixed: []string{"l"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"format":1,"version":1,"fields":[{"name":"a","type":"list"}]}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		v, err := Decode(value)
		if err != nil {
			return
		}
		again, err := Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		same, err := Decode(again)
		if err != nil || !v.Same(same) {
			t.Errorf("%s became %s (%v)", value, again, err)
		}
	})
}
