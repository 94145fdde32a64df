package control_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/stream/seal"
	"github.com/millrace-io/millrace/engine/stream/seal/master"
	"github.com/millrace-io/millrace/engine/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is an Admin under test, on a data directory of its own.
type rig struct {
	control.Admin
	t       *testing.T
	dir     string
	backend *disk.Backend
	local   *control.Local
	// began is when the clock was stopped, and ahead how far it was moved since.
	began time.Time
	ahead atomic.Int64
}

// now is the time of a clock that only a test moves: a machine that is slow changes nothing.
func (r *rig) now() time.Time           { return r.began.Add(time.Duration(r.ahead.Load())) }
func (r *rig) advance(d time.Duration)  { r.ahead.Add(int64(d)) }
func (r *rig) context() context.Context { return r.t.Context() }
func (r *rig) must(err error, what string) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
}

// newRig opens a directory. shared are streams that it has and that are in use.
func newRig(t *testing.T, shared ...string) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), began: time.Now()}
	backend, err := disk.Open(vfs.OS{}, r.dir, disk.Options{Now: r.now, Keys: func(stream, key string) (seal.Keyring, error) {
		return master.Ring(stream, key, master.Options{})
	}})
	r.must(err, "open the directory")
	t.Cleanup(func() { r.must(r.backend.Close(), "close the directory") })
	var streams []*stream.Stream
	for _, name := range shared {
		s, err := stream.Open(t.Context(), backend, stream.Spec{Name: name, Shards: 2})
		r.must(err, "open a stream")
		t.Cleanup(func() { r.must(s.Close(), "close a stream") })
		streams = append(streams, s)
	}
	r.backend = backend
	r.local = control.NewLocal(backend, r.now, streams...)
	t.Cleanup(func() { r.must(r.local.Close(), "close the admin") })
	r.Admin = r.local
	return r
}

// throughSocket makes the rig ask through its directory's socket.
func (r *rig) throughSocket() {
	r.t.Helper()
	server, err := control.Serve(r.dir, r.local, slog.New(slog.DiscardHandler))
	r.must(err, "serve")
	r.t.Cleanup(func() { r.must(server.Close(), "close the server") })
	client, err := control.Dial(r.context(), r.dir)
	r.must(err, "dial")
	r.t.Cleanup(func() { r.must(client.Close(), "close the client") })
	r.Admin = client
}

func (r *rig) create(shards int) {
	r.t.Helper()
	r.must(r.Create(r.context(), control.Spec{Name: "clicks", Shards: shards}), "create")
}

// put puts texts under one key.
func (r *rig) put(key string, texts ...string) []control.Placed {
	r.t.Helper()
	var records []control.Record
	for _, text := range texts {
		records = append(records, control.Record{Key: key, Data: []byte(text)})
	}
	placed, err := r.Put(r.context(), "clicks", records)
	r.must(err, "put")
	return placed
}

// all reads from the request's beginning to the end.
func (r *rig) all(request control.ReadRequest) []control.Stored {
	r.t.Helper()
	request.Stream = "clicks"
	var all []control.Stored
	for {
		page, err := r.Read(r.context(), request)
		r.must(err, "read")
		if request.Limit > 0 && len(page.Records) > request.Limit {
			r.t.Fatalf("a page of %d records, the limit is %d", len(page.Records), request.Limit)
		}
		all = append(all, page.Records...)
		request.Cursor = page.Cursor
		if page.CaughtUp {
			return all
		}
	}
}

func texts(records []control.Stored) []string {
	var out []string
	for _, r := range records {
		out = append(out, string(r.Data))
	}
	return out
}

func (r *rig) describe() control.Stream {
	r.t.Helper()
	s, err := r.Describe(r.context(), "clicks")
	r.must(err, "describe")
	return s
}

// TestAdmin runs every test on a Local, and on a Client that asks one.
func TestAdmin(t *testing.T) {
	tests := []struct {
		name string
		run  func(t *testing.T, r *rig)
	}{
		{"CreatedStreamIsDescribedAndListed", createdStreamIsDescribed},
		{"MistakesAreTold", mistakesAreTold},
		{"PutSaysWhereRecordsAre", putSaysWhereRecordsAre},
		{"PutSaysWhereRecordsAreWhileShardsSplit", putWhileShardsSplit},
		{"PagesHoldEveryRecordOnce", pagesHoldEveryRecordOnce},
		{"ReadingBeginsWhereItIsTold", readingBeginsWhereItIsTold},
		{"ReadWaitsForRecords", readWaitsForRecords},
		{"ChildrenAreReadAfterTheirParents", childrenAreReadAfterTheirParents},
		{"LargeParentIsReadToItsEnd", largeParentIsReadToItsEnd},
		{"EmptyShardIsNoShortCut", emptyShardIsNoShortCut},
		{"MergedShardIsReadAfterBoth", mergedShardIsReadAfterBoth},
		{"CursorGoesOnAcrossASplit", cursorGoesOnAcrossASplit},
		{"ClosedShardEnds", closedShardEnds},
		{"ReshardKeepsTheLineage", reshardKeepsTheLineage},
		{"RetentionHidesOlderRecords", retentionHidesOlderRecords},
		{"DeletedStreamsCursorIsRefused", deletedStreamsCursorIsRefused},
		{"EncryptionIsSwitchedOnAndOff", encryptionIsSwitchedOnAndOff},
		{"SharedStreamIsNotDeleted", sharedStreamIsNotDeleted},
		{"SettingsAreChangedAndShown", settingsAreChangedAndShown},
		{"LimitsHoldForWritersAndReaders", limitsHold},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Run("Local", func(t *testing.T) { test.run(t, newRig(t, "shared")) })
			t.Run("Client", func(t *testing.T) {
				r := newRig(t, "shared")
				r.throughSocket()
				test.run(t, r)
			})
		})
	}
}

func createdStreamIsDescribed(t *testing.T, r *rig) {
	r.must(r.Create(t.Context(), control.Spec{Name: "clicks", Shards: 2, RetentionSeconds: 3600, Settings: control.Settings{Compression: stream.Zstd}}), "create")
	s := r.describe()
	if s.Status != stream.Active || s.RetentionSeconds != 3600 || s.Sync != stream.SyncAlways || s.Compression != stream.Zstd || s.Incarnation == "" {
		t.Errorf("described as %+v", s)
	}
	if len(s.Shards) != 2 || s.Open() != 2 || s.Shards[1].Range.End != record.MaxHashKey || s.Shards[0].State != stream.ShardOpen {
		t.Errorf("shards %+v", s.Shards)
	}
	r.put("ann", "one", "two")
	if s := r.describe(); s.Records() != 2 || s.Bytes() == 0 || s.Shards[0].Recent+s.Shards[1].Recent != 2 {
		t.Errorf("after two records: %+v", s)
	}
	r.advance(2 * time.Minute)
	if s := r.describe(); s.Records() != 2 || s.Shards[0].Recent+s.Shards[1].Recent != 0 {
		t.Errorf("two minutes later: %+v", s)
	}
	all, err := r.List(t.Context())
	r.must(err, "list")
	if len(all) != 2 || all[0].Name != "clicks" || all[1].Name != "shared" || all[0].Records() != 2 {
		t.Errorf("listed: %+v", all)
	}
}

func mistakesAreTold(t *testing.T, r *rig) {
	r.create(2)
	ctx := t.Context()
	low := record.HashKey{}
	nine := record.ShardID(9)
	read := func(request control.ReadRequest) error {
		_, err := r.Read(ctx, request)
		return err
	}
	put := func(name string, records ...control.Record) error {
		_, err := r.Put(ctx, name, records)
		return err
	}
	_, unknown := r.Describe(ctx, "nothing")
	for what, c := range map[string]struct {
		err, want error
	}{
		"describe an unknown stream":     {unknown, stream.ErrNotFound},
		"describe one with a path":       {second(r.Describe(ctx, "../x")), stream.ErrInvalid},
		"create it again":                {r.Create(ctx, control.Spec{Name: "clicks"}), stream.ErrExists},
		"create one with a bad name":     {r.Create(ctx, control.Spec{Name: "a/b"}), stream.ErrInvalid},
		"create one with -1 shards":      {r.Create(ctx, control.Spec{Name: "x", Shards: -1}), stream.ErrInvalid},
		"create one with a bad sync":     {r.Create(ctx, control.Spec{Name: "x", Settings: control.Settings{Sync: "maybe"}}), stream.ErrInvalid},
		"delete an unknown stream":       {r.Delete(ctx, "nothing"), stream.ErrNotFound},
		"split an unknown stream":        {r.Split(ctx, "nothing", 0, nil), stream.ErrNotFound},
		"split an unknown shard":         {r.Split(ctx, "clicks", 9, nil), stream.ErrNotFound},
		"split at the shard's edge":      {r.Split(ctx, "clicks", 0, &low), stream.ErrInvalid},
		"merge a shard with itself":      {r.Merge(ctx, "clicks", 0, 0), stream.ErrInvalid},
		"merge with an unknown shard":    {r.Merge(ctx, "clicks", 0, 9), stream.ErrNotFound},
		"reshard to none":                {r.Reshard(ctx, "clicks", 0), stream.ErrInvalid},
		"keep for a negative time":       {r.SetRetention(ctx, "clicks", -time.Hour), stream.ErrInvalid},
		"put into an unknown stream":     {put("nothing", control.Record{Data: []byte("x")}), stream.ErrNotFound},
		"put a key that is no text":      {put("clicks", control.Record{Key: "\xff"}), stream.ErrInvalid},
		"put a record that is too large": {put("clicks", control.Record{Data: make([]byte, 2<<20)}), stream.ErrInvalid},
		"put too many":                   {put("clicks", make([]control.Record, control.MaxPut+1)...), stream.ErrInvalid},
		"put too much":                   {put("clicks", control.Record{Data: make([]byte, control.MaxPutBytes+1)}), stream.ErrInvalid},
		"read an unknown stream":         {read(control.ReadRequest{Stream: "nothing"}), stream.ErrNotFound},
		"read an unknown shard":          {read(control.ReadRequest{Stream: "clicks", Shard: &nine}), stream.ErrNotFound},
		"read at a bad cursor":           {read(control.ReadRequest{Stream: "clicks", Cursor: "x"}), stream.ErrInvalid},
		"read at a bad sequence number":  {read(control.ReadRequest{Stream: "clicks", From: control.From{Sequence: "12"}}), stream.ErrInvalid},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", what, c.err, c.want)
		}
	}
	if n := r.describe().Records(); n != 0 {
		t.Errorf("the mistakes stored %d records", n)
	}
}

func second[T any](_ T, err error) error { return err }

func putSaysWhereRecordsAre(t *testing.T, r *rig) {
	r.create(2)
	s := r.describe()
	var records []control.Record
	for i := range 50 {
		records = append(records, control.Record{Key: fmt.Sprintf("user%d", i%7), Data: []byte{byte(i), 0xff, 0}})
	}
	records = append(records, control.Record{Key: "explicit", HashKey: &s.Shards[1].Range.Start, Data: []byte("x")})
	placed, err := r.Put(t.Context(), "clicks", records)
	r.must(err, "put")
	stored := map[string]control.Stored{}
	for _, x := range r.all(control.ReadRequest{}) {
		stored[x.SequenceNumber] = x
	}
	if len(placed) != 51 || len(stored) != 51 {
		t.Fatalf("%d placed, %d stored with different numbers", len(placed), len(stored))
	}
	for i, at := range placed {
		x, put := stored[at.SequenceNumber], records[i]
		if x.Shard != at.Shard || x.Key != put.Key || string(x.Data) != string(put.Data) || r.now().Sub(x.Arrival).Abs() > time.Minute {
			t.Errorf("record %d of %+v at %+v is %+v", i, put, at, x)
		}
		if hash := record.Hash([]byte(put.Key)); put.HashKey == nil && !s.Shards[at.Shard].Range.Contains(hash) {
			t.Errorf("record %d with hash key %s is in %s", i, hash, at.Shard)
		}
	}
	if placed[50].Shard != 1 {
		t.Errorf("the explicit hash key led to %s", placed[50].Shard)
	}
}

func pagesHoldEveryRecordOnce(t *testing.T, r *rig) {
	r.create(3)
	var want []string
	for i := range 40 {
		text := fmt.Sprintf("%03d", i)
		r.put(fmt.Sprint(i%5), text, text+"b")
		want = append(want, text, text+"b")
	}
	for _, limit := range []int{0, 1, 7, 80} {
		got := texts(r.all(control.ReadRequest{Limit: limit}))
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %v", limit, got)
		}
	}
}

func readingBeginsWhereItIsTold(t *testing.T, r *rig) {
	r.create(1)
	r.put("ann", "a", "b")
	r.advance(time.Hour)
	middle := r.now()
	r.advance(time.Minute)
	placed := r.put("ann", "c", "d", "e")
	zero := record.ShardID(0)
	for what, c := range map[string]struct {
		request control.ReadRequest
		want    []string
	}{
		"earliest":   {control.ReadRequest{}, []string{"a", "b", "c", "d", "e"}},
		"latest":     {control.ReadRequest{From: control.From{Latest: true}}, nil},
		"a time":     {control.ReadRequest{From: control.From{Time: middle}}, []string{"c", "d", "e"}},
		"the future": {control.ReadRequest{From: control.From{Time: middle.Add(24 * time.Hour)}}, nil},
		"the past":   {control.ReadRequest{From: control.From{Time: middle.Add(-24 * time.Hour)}}, []string{"a", "b", "c", "d", "e"}},
		"a number":   {control.ReadRequest{From: control.From{Sequence: placed[1].SequenceNumber}}, []string{"d", "e"}},
		"the last":   {control.ReadRequest{From: control.From{Last: 2}}, []string{"d", "e"}},
		"one shard":  {control.ReadRequest{Shard: &zero, Limit: 3}, []string{"a", "b", "c", "d", "e"}},
	} {
		if got := texts(r.all(c.request)); !slices.Equal(got, c.want) {
			t.Errorf("from %s: %v, want %v", what, got, c.want)
		}
	}
}

func readWaitsForRecords(t *testing.T, r *rig) {
	r.create(2)
	first, err := r.Read(t.Context(), control.ReadRequest{Stream: "clicks", WaitMillis: 1})
	r.must(err, "read")
	if len(first.Records) != 0 || !first.CaughtUp || first.Ended {
		t.Errorf("an empty stream: %+v", first)
	}
	type result struct {
		page control.Page
		err  error
	}
	done := make(chan result)
	go func() {
		page, err := r.Read(t.Context(), control.ReadRequest{Stream: "clicks", Cursor: first.Cursor, WaitMillis: 20_000})
		done <- result{page, err}
	}()
	r.put("ann", "hello")
	got := <-done
	r.must(got.err, "read")
	if !slices.Equal(texts(got.page.Records), []string{"hello"}) {
		t.Errorf("waited for %+v", got.page)
	}
}

func encryptionIsSwitchedOnAndOff(t *testing.T, r *rig) {
	file := filepath.Join(t.TempDir(), "key")
	_, err := master.GenerateKeyFile(file)
	r.must(err, "make a key")
	key := "file:" + file
	r.must(r.Create(t.Context(), control.Spec{Name: "clicks", Key: key}), "create")
	r.put("ann", "a")
	if s := r.describe(); s.Key != key {
		t.Errorf("encrypted with %q", s.Key)
	}
	r.must(r.Decrypt(t.Context(), "clicks"), "decrypt")
	r.put("ann", "b")
	if s := r.describe(); s.Key != "" {
		t.Errorf("encrypted with %q, want none", s.Key)
	}
	r.must(r.Encrypt(t.Context(), "clicks", key), "encrypt")
	_, err = master.RotateKeyFile(file)
	r.must(err, "change the key")
	n, err := r.Rewrap(t.Context(), "clicks")
	r.must(err, "wrap again")
	if n < 1 {
		t.Errorf("%d segments are wrapped again", n)
	}
	if err := r.Encrypt(t.Context(), "clicks", "file:/nowhere"); err == nil {
		t.Error("encrypted with a key that is not there")
	}
	if got := texts(r.all(control.ReadRequest{})); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %v", got)
	}
}
