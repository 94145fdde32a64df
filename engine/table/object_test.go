package table_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/millrace-io/millrace/engine/bucket"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/table"
	"github.com/millrace-io/millrace/sinks/s3/s3test"
)

func TestAnObjectIsFetchedAgainOnlyWhenItChanged(t *testing.T) {
	s := s3test.MinIO(t)
	s.Bucket(t, "reference")
	o := &table.Object{Key: "a/b.csv", Access: bucket.Access{
		Endpoint: s.Endpoint, Bucket: "reference", AccessKey: config.NewSecret(s.AccessKey), SecretKey: config.NewSecret(s.SecretKey),
	}}
	defer o.Close()
	tag := ""
	fetch := func(want, fault string) {
		t.Helper()
		var b bytes.Buffer
		next, err := o.Fetch(t.Context(), tag, &b)
		if fault == "" && err != nil || fault != "" && (err == nil || !strings.Contains(err.Error(), fault)) || b.String() != want {
			t.Fatalf("got %q, %v", b.String(), err)
		}
		if err == nil {
			tag = next
		}
	}
	put := func(text string) {
		t.Helper()
		if _, err := s.Client.PutObject(t.Context(), "reference", "a/b.csv", strings.NewReader(text), int64(len(text)), minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	fetch("", "there is no object s3://reference/a/b.csv")
	put("one")
	fetch("one", "")
	before := tag
	fetch("", "")
	if tag != before {
		t.Error("the tag changed")
	}
	put("two")
	fetch("two", "")
	o.Access.Bucket = "missing"
	fetch("", `bucket "missing" does not exist`)
	wrong := &table.Object{Key: "a/b.csv", Access: o.Access}
	wrong.Access.SecretKey = config.NewSecret("nonsense")
	defer wrong.Close()
	if _, err := wrong.Fetch(t.Context(), "", &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "secret_key") || strings.Contains(err.Error(), "nonsense") {
		t.Error(err)
	}
}
