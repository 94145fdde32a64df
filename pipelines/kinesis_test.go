package pipelines_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/api/auth"
	"github.com/millrace-io/millrace/pipelines"
)

// putRecords sends records as an SDK does, until the API is there.
func putRecords(t *testing.T, address, body string) string {
	t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for deadline := time.Now().Add(patience); ; {
		r, err := http.NewRequest("POST", "http://"+address, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", "Kinesis_20131202.PutRecords")
		if err := auth.Sign(r, []byte(body), auth.Credentials{AccessKey: "any", Secret: "any"}, "us-east-1", "kinesis", time.Now()); err != nil {
			t.Fatal(err)
		}
		a, err := client.Do(r)
		if err != nil {
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
			<-time.After(10 * time.Millisecond)
			continue
		}
		defer a.Body.Close()
		text, err := io.ReadAll(a.Body)
		if err != nil || a.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %v", a.Status, text, err)
		}
		return string(text)
	}
}

func TestKinesisExampleDeliversWhatWasPut(t *testing.T) {
	dir := t.TempDir()
	address := freeAddress(t)
	r := begin(t, "pipelines/examples/kinesis.yaml", filepath.Join(dir, "data"), map[string]string{"LISTEN": address, "OUT": filepath.Join(dir, "out")})
	// {"at":"2026-01-31T12:00:00Z","item":"tea","price":3.5}
	const order = "eyJhdCI6IjIwMjYtMDEtMzFUMTI6MDA6MDBaIiwiaXRlbSI6InRlYSIsInByaWNlIjozLjV9"
	record := fmt.Sprintf(`{"PartitionKey":"a","Data":%q}`, order)
	if answer := putRecords(t, address, `{"StreamName":"orders","Records":[`+record+`,`+record+`]}`); !strings.Contains(answer, `"FailedRecordCount":0`) {
		t.Errorf("answer: %s", answer)
	}
	for r.run.Status().Tasks[1].Steps[0].In < 2 {
		<-time.After(time.Millisecond)
	}
	close(r.stop)
	s := r.end()
	if got := task(t, s, "archive").Total.Passed; got != 2 || s.Sources[0].Written != 2 {
		t.Errorf("%d rows delivered, the source says %+v", got, s.Sources[0])
	}
}

func TestExposedAddressesNeedUsers(t *testing.T) {
	const text = "version: 1\nstreams: {s: {schema: {id: string}}}\nsources: {aws: {type: kinesis, listen: \"0.0.0.0:4567\"%s}}\nsinks: {out: {type: stdout, from: s}}\n%s"
	for _, c := range []struct{ insecure, users, want string }{
		{"", "", "other machines reach this address; add users: to the file"},
		{", insecure: true", "", ""},
		{"", "users: {ingest: {policy: producer, access_keys: {MRAKINGEST0000000000: a-secret-that-is-long-enough-to-be-one}}}\n", ""},
		{", to: s, insecure: true", "", "clients of a kinesis source name the stream they write to; remove to"},
	} {
		file := filepath.Join(t.TempDir(), "p.yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, text, c.insecure, c.users), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := pipelines.Load(file, realComponents(), pipelines.LoadOptions{})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q %q: %v, want %q", c.insecure, c.users, err, c.want)
		}
	}
}
