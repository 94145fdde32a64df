package kinesis

import (
	"path/filepath"
	"testing"

	"github.com/millrace-io/millrace/engine/stream/seal/master"
)

func TestEncryptionIsStoppedByWhoNamesItsKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if _, err := master.GenerateKeyFile(file); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(o *Options) { o.MasterKey = func() (string, error) { return "file:" + file, nil } })
	r.must("CreateStream", `{"StreamName":"s","ShardCount":1}`)
	body := func(key string) string { return `{"StreamName":"s","EncryptionType":"KMS","KeyId":"` + key + `"}` }
	is := func() string {
		return r.must("DescribeStreamSummary", `{"StreamName":"s"}`)["StreamDescriptionSummary"].(map[string]any)["EncryptionType"].(string)
	}
	const id, arn = "12345678-1234-1234-1234-123456789012", "arn:aws:kms:us-east-1:000000000000:"
	for key, others := range map[string][]string{
		id: {arn + "key/" + id}, arn + "key/" + id: {id}, "alias/mine": {arn + "alias/mine"}, arn + "alias/mine": {"alias/mine"}, defaultKeyID: {arn + defaultKeyID},
	} {
		for _, same := range append(others, key) {
			r.must("StartStreamEncryption", body(key))
			for _, wrong := range []string{"alias/other", "12345678-1234-1234-1234-123456789013", arn + "alias/other", "mine", arn + "key/mine", arn} {
				if a := r.do("StopStreamEncryption", body(wrong)); a.kind != "InvalidArgumentException" || is() != "KMS" {
					t.Errorf("started with %s, stopped with %s: %s", key, wrong, a.text)
				}
			}
			// An answer may be lost, and the client asks again.
			r.must("StopStreamEncryption", body(same))
			r.must("StopStreamEncryption", body(same))
			if is() != "NONE" {
				t.Errorf("started with %s, stopped with %s: it goes on", key, same)
			}
		}
	}
	// A key that no client named is the service's own.
	st, err := r.o.Streams.Open(t.Context(), "s")
	if err == nil {
		err = st.Encrypt(t.Context(), "file:"+file)
	}
	if err != nil {
		t.Fatal(err)
	}
	if a := r.do("StopStreamEncryption", body("alias/mine")); a.kind != "InvalidArgumentException" {
		t.Error(a.text)
	}
	r.must("StopStreamEncryption", body(defaultKeyID))
}
