package kinesis

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/api/wire"
)

// pieces records the size of each write; it takes so many.
type pieces struct {
	*httptest.ResponseRecorder
	sizes []int
	takes int
}

func (p *pieces) Write(b []byte) (int, error) {
	if len(p.sizes) >= p.takes {
		return 0, errors.New("the client went away")
	}
	p.sizes = append(p.sizes, len(b))
	return p.ResponseRecorder.Write(b)
}

// filled is a stream of so many records of 10 kB, and an iterator at its first.
func filled(t *testing.T, n int) (r *rig, iterator string) {
	t.Helper()
	r = newRig(t, nil)
	r.must("CreateStream", `{"StreamName":"s","ShardCount":1}`)
	var list []string
	for i := range n {
		data := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(fmt.Sprintf("record %3d", i), 1000)))
		list = append(list, fmt.Sprintf(`{"Data":%q,"PartitionKey":"k%d"}`, data, i))
	}
	r.must("PutRecords", `{"StreamName":"s","Records":[`+strings.Join(list, ",")+`]}`)
	return r, r.must("GetShardIterator", `{"StreamName":"s","ShardId":"0","ShardIteratorType":"TRIM_HORIZON"}`)["ShardIterator"].(string)
}

func TestLongAnswersAreSentInParts(t *testing.T) {
	r, it := filled(t, 100)
	w := &pieces{ResponseRecorder: httptest.NewRecorder(), takes: 1000}
	r.ServeHTTP(w, request("GetRecords", wire.TypeJSON, []byte(`{"ShardIterator":"`+it+`"}`)))
	if w.Code != http.StatusOK || w.Header().Get("Content-Length") != "" || w.Header().Get("Content-Type") != wire.TypeJSON || w.Header().Get("x-amzn-RequestId") == "" {
		t.Errorf("%d with %v", w.Code, w.Header())
	}
	if len(w.sizes) < 5 {
		t.Errorf("writes of %v", w.sizes)
	}
	for _, n := range w.sizes {
		if n > 2*partSize {
			t.Errorf("a write of %d bytes", n)
		}
	}
	var out struct {
		Records            []struct{ Data []byte }
		NextShardIterator  string
		MillisBehindLatest int64
	}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	for i, rec := range out.Records {
		if !strings.HasPrefix(string(rec.Data), fmt.Sprintf("record %3d", i)) || len(rec.Data) != 10_000 {
			t.Errorf("record %d is %.20q of %d bytes", i, rec.Data, len(rec.Data))
		}
	}
	if len(out.Records) != 100 || out.NextShardIterator == "" || out.MillisBehindLatest != 0 {
		t.Errorf("%d records, then %q, %d behind", len(out.Records), out.NextShardIterator, out.MillisBehindLatest)
	}
}

// A short answer has its length, and so has an error.
func TestShortAnswersHaveTheirLength(t *testing.T) {
	r, it := filled(t, 1)
	for _, it := range []string{it, "x"} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, request("GetRecords", wire.TypeJSON, []byte(`{"ShardIterator":"`+it+`"}`)))
		if w.Header().Get("Content-Length") != fmt.Sprint(w.Body.Len()) {
			t.Errorf("%v for %d bytes", w.Header(), w.Body.Len())
		}
	}
}

// Nobody else waits for a client that went away in the middle of an answer, and nothing is written behind it.
func TestClientThatGoesAwayEndsItsAnswer(t *testing.T) {
	r, it := filled(t, 100)
	w := &pieces{ResponseRecorder: httptest.NewRecorder(), takes: 2}
	r.ServeHTTP(w, request("GetRecords", wire.TypeJSON, []byte(`{"ShardIterator":"`+it+`"}`)))
	if len(w.sizes) != 2 || strings.Contains(w.Body.String(), "NextShardIterator") {
		t.Errorf("writes of %v", w.sizes)
	}
	if !r.memory.TryAcquire(r.o.Memory) {
		t.Error("its memory is not given back")
	}
}
