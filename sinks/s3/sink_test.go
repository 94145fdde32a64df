package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sinks/encode"
	"github.com/millrace-io/millrace/sinks/objects"
	"github.com/millrace-io/millrace/sinks/s3/embedded"
	"github.com/millrace-io/millrace/sinks/s3/s3test"
)

func TestEachChunkBecomesAnObject(t *testing.T) {
	everywhere(t, func(p *place) {
		s := p.start()
		p.deliver(s, 1, batch(0, 100), batch(100, 50))
		p.deliver(s, 2, batch(150, 20).With([]int32{0, 1, 2}))
		p.wantIDs(s, 0, 153, 2)
		_, keys := p.ids(s)
		if d := cmp.Diff([]string{key("", 1), key("", 2)}, keys); d != "" {
			p.t.Error(d)
		}
		if g := s.Guarantee(); !strings.HasPrefix(g, "exactly once") {
			p.t.Error(g)
		}
	})
}

func TestObjectsSayWhatIsInThem(t *testing.T) {
	everywhere(t, func(p *place) {
		s := p.start()
		plan := p.deliver(s, 7, batch(0, 10))
		m, ok, err := s.store.metadata(p.t.Context(), plan.Objects[0].Key)
		if err != nil || !ok {
			p.t.Fatal(ok, err)
		}
		for k := range m {
			if !strings.HasPrefix(k, "millrace-") {
				delete(m, k)
			}
		}
		want := map[string]string{
			objects.MetaTask: "test-out-00c0ffee-0", objects.MetaChunk: "7", objects.MetaRows: "10", objects.MetaHash: plan.Objects[0].Hash,
			objects.MetaReason: "size", objects.MetaConfig: "feedc0de", objects.MetaSchema: "3", objects.MetaRanges: "shardId-000000000000:1-9",
		}
		if d := cmp.Diff(want, m); d != "" {
			p.t.Error(d)
		}
	})
}

// A crash may come before, between or after the puts; the chunk is then planned again from the
// same rows, which come in other batches.
func TestRedoneChunkIsThereOnce(t *testing.T) {
	everywhere(t, func(p *place) {
		p.config.PartitionBy = []string{"country"}
		for i, puts := range []int{0, 1, 4} {
			chunk := int64(i + 1)
			first := i * 100
			s := p.start()
			p.add(s, batch(first, 100))
			plan := p.plan(s, chunk)
			if len(plan.Objects) != 4 {
				p.t.Fatalf("%d objects", len(plan.Objects))
			}
			some := plan
			some.Objects = plan.Objects[:puts]
			p.put(s, some)
			before := p.objects(s)
			if err := s.Close(); err != nil {
				p.t.Fatal(err)
			}

			s = p.start()
			p.add(s, batch(first+50, 50), batch(first, 50))
			again := p.plan(s, chunk)
			for j := range again.Objects {
				again.Objects[j].Bytes = plan.Objects[j].Bytes
			}
			if d := cmp.Diff(plan.Objects, again.Objects); d != "" {
				p.t.Fatal(d)
			}
			p.put(s, again)
			p.put(s, again)
			s.Published(again)
			after := p.objects(s)
			for k, v := range before {
				if !bytes.Equal(after[k], v) {
					p.t.Errorf("%s was replaced", k)
				}
			}
			p.wantIDs(s, 0, int64(first+100), 4*(i+1))
		}
	})
}

func TestOtherContentStopsTheSink(t *testing.T) {
	everywhere(t, func(p *place) {
		s := p.start()
		p.deliver(s, 1, batch(0, 10))
		s = p.start()
		p.add(s, batch(0, 11))
		plan := p.plan(s, 1)
		p.wantError(s.Put(p.t.Context(), plan), true, key("", 1), "other content", "millrace-rows", `"10" instead of "11"`)
		p.wantIDs(s, 0, 10, 1)
	})
}

func TestForeignObjectStopsTheSink(t *testing.T) {
	p := onMinIO(t)
	s := p.start()
	_, err := p.client().PutObject(t.Context(), p.config.Bucket, key("", 1), strings.NewReader("mine"), 4, minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.add(s, batch(0, 10))
	p.wantError(s.Put(t.Context(), p.plan(s, 1)), true, "other content")
	if got := p.objects(s)[key("", 1)]; string(got) != "mine" {
		t.Errorf("the object was replaced by %d bytes", len(got))
	}
}

func TestEmptyChunkCreatesNothing(t *testing.T) {
	everywhere(t, func(p *place) {
		s := p.start()
		p.add(s, batch(0, 5).With([]int32{}))
		plan := p.plan(s, 1)
		p.put(s, plan)
		s.Published(plan)
		if got := p.objects(s); len(got) != 0 || len(plan.Objects) != 0 {
			p.t.Errorf("objects %v, planned %v", got, plan.Objects)
		}
		p.deliver(s, 2, batch(0, 5))
		p.wantIDs(s, 0, 5, 1)
	})
}

func TestMissingBucketIsNamedUntilItExists(t *testing.T) {
	p := onMinIO(t)
	p.config.Bucket = "orders"
	s := p.open()
	p.wantError(s.Start(t.Context(), nil), false, `bucket "orders" does not exist`, p.minio.Endpoint, "mc mb")
	p.minio.Bucket(t, "orders")
	if err := s.Start(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	p.deliver(s, 1, batch(0, 10))
	p.wantIDs(s, 0, 10, 1)
}

func TestWrongCredentialsAreNamedAndNotShown(t *testing.T) {
	p := onMinIO(t)
	right := p.config.SecretKey
	p.config.SecretKey = config.NewSecret("not-the-secret")
	err := p.open().Start(t.Context(), nil)
	p.wantError(err, false, "secret_key", p.minio.Endpoint)
	if strings.Contains(err.Error(), "not-the-secret") {
		t.Errorf("shows the secret: %v", err)
	}
	p.config.AccessKey, p.config.SecretKey = config.NewSecret("nobody"), right
	p.wantError(p.open().Start(t.Context(), nil), false, "access_key", p.minio.Endpoint)
}

func TestTemporaryCredentialsNeedTheirToken(t *testing.T) {
	p := onMinIO(t)
	session, err := credentials.NewSTSAssumeRole(p.minio.Endpoint, credentials.STSAssumeRoleOptions{AccessKey: p.minio.AccessKey, SecretKey: p.minio.SecretKey})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	keys, err := session.GetWithContext(&credentials.CredContext{Client: client})
	if err != nil {
		t.Fatal(err)
	}
	p.config.AccessKey, p.config.SecretKey = config.NewSecret(keys.AccessKeyID), config.NewSecret(keys.SecretAccessKey)
	p.config.SessionToken = config.NewSecret(keys.SessionToken)
	s := p.start()
	p.deliver(s, 1, batch(0, 10))
	p.wantIDs(s, 0, 10, 1)

	p.config.SessionToken = config.NewSecret("not-the-token")
	err = p.open().Start(t.Context(), nil)
	p.wantError(err, false, "session_token", p.minio.Endpoint)
	if strings.Contains(err.Error(), "not-the-token") {
		t.Errorf("shows the token: %v", err)
	}
}

func TestEndpointMayComeLateAndGoAway(t *testing.T) {
	p := on(t, s3test.MinIO(t), "lake")
	p.minio.Stop()
	s := p.open()
	p.wantError(s.Start(t.Context(), nil), false, "cannot reach endpoint "+p.minio.Endpoint, "refused")
	s3test.Need(t, p.minio.Start())
	if err := s.Start(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	p.add(s, batch(0, 10))
	plan := p.plan(s, 1)
	p.minio.Stop()
	p.wantError(s.Put(t.Context(), plan), false, "cannot reach endpoint", key("", 1))
	s3test.Need(t, p.minio.Start())
	p.put(s, plan)
	p.wantIDs(s, 0, 10, 1)
}

func TestPutEndsWithItsContext(t *testing.T) {
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silent.Close()
	p := onEmbedded(t)
	p.config.Endpoint = silent.URL
	p.config.AccessKey, p.config.SecretKey = config.NewSecret("a"), config.NewSecret("b")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := p.open()
	if err := s.Start(ctx, nil); err == nil {
		t.Error("started without an answer")
	}
	silent.CloseClientConnections()
}

// forgetful passes requests on without their conditions.
func forgetful(t *testing.T, endpoint string) string {
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, r.In.Host
			r.Out.Header.Del("If-None-Match")
		},
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(func() { server.Close(); transport.CloseIdleConnections() })
	return server.URL
}

func TestStoreWithoutConditionsIsAnnounced(t *testing.T) {
	p := onEmbedded(t)
	// Not MinIO: the client signs the header, and this server does not verify signatures.
	server, err := embedded.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := server.MakeBucket("lake"); err != nil {
		t.Fatal(err)
	}
	p.config.Endpoint = forgetful(t, server.Endpoint)
	p.config.AccessKey, p.config.SecretKey = config.NewSecret(server.AccessKey), config.NewSecret(server.SecretKey)
	s := p.start()
	if g := s.Guarantee(); !strings.HasPrefix(g, "AT LEAST ONCE") || !strings.Contains(p.logs.String(), "AT LEAST ONCE") {
		t.Errorf("guarantee %q, log %s", g, p.logs)
	}
	p.deliver(s, 1, batch(0, 10))

	// A repeated chunk is recognised all the same, and another one stops.
	s = p.start()
	p.deliver(s, 1, batch(0, 10))
	p.wantIDs(s, 0, 10, 1)
	p.add(s, batch(0, 12))
	p.wantError(s.Put(t.Context(), p.plan(s, 1)), true, "other content")
}

func TestLargeObjectsGoInParts(t *testing.T) {
	everywhere(t, func(p *place) {
		s := p.start()
		if want := p.minio != nil; s.store.conditionalComplete != want {
			p.t.Fatalf("conditional complete is %v", s.store.conditionalComplete)
		}
		s.store.singlePut, s.store.partSize = 1<<20, 5<<20
		want := make([]byte, 11<<20)
		if _, err := rand.Read(want); err != nil {
			p.t.Fatal(err)
		}
		o := objectOf(want)
		for range 2 {
			if err := s.putObject(p.t.Context(), o); err != nil {
				p.t.Fatal(err)
			}
		}
		if got := p.objects(s)[o.Key]; !bytes.Equal(got, want) {
			p.t.Errorf("object of %d bytes, want %d", len(got), len(want))
		}
		o.Metadata = map[string]string{objects.MetaRows: "8"}
		p.wantError(s.wrap(s.putObject(p.t.Context(), o)), true, o.Key, "other content")
	})
}

// objectOf is an object of any content.
func objectOf(content []byte) objects.Object {
	return objects.Object{
		Key: "people/large", ContentType: "text/plain", Metadata: map[string]string{objects.MetaRows: "7"},
		Content: bytes.NewReader(content), Size: int64(len(content)), CRC: crc32.Checksum(content, objects.Castagnoli),
	}
}

// Uploads of other tasks are not touched.
func TestUnfinishedUploadsOfTheTaskAreAborted(t *testing.T) {
	p := onMinIO(t)
	s := p.start()
	o := objectOf(make([]byte, 7<<20))
	begin := func(key string) {
		if _, err := s.store.core.NewMultipartUpload(t.Context(), p.config.Bucket, key, minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	unfinished := func(key string) int {
		list, err := s.store.core.ListMultipartUploads(t.Context(), p.config.Bucket, key, "", "", "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Uploads)
	}
	other := strings.Replace(key("", 1), "test-out", "test-other", 1)
	begin(other)
	begin(key("", 1))
	begin(o.Key)
	// MinIO lists the uploads of a key only.
	mine := func(k string) bool {
		_, ok := objects.ChunkOf(path.Base(k), s.env.Identity)
		return ok
	}
	for k, want := range map[string]int{key("", 1): 1, other: 0} {
		if n, err := s.store.sweep(t.Context(), k, mine); n != want || err != nil {
			t.Errorf("%s: %d aborted, %v", k, n, err)
		}
	}
	s.store.singlePut, s.store.partSize = 6<<20, 5<<20
	if err := s.putObject(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if a, b, c := unfinished(other), unfinished(key("", 1)), unfinished(o.Key); a != 1 || b != 0 || c != 0 {
		t.Errorf("%d of the other task, %d and %d of this one are left", a, b, c)
	}
}

func TestDamagedUploadIsRefusedByTheStore(t *testing.T) {
	everywhere(t, func(p *place) {
		s := p.start()
		o := objectOf([]byte("hello"))
		o.CRC++
		p.wantError(s.wrap(s.putObject(p.t.Context(), o)), false, o.Key)
		if n := len(p.objects(s)); n != 0 {
			p.t.Errorf("%d objects", n)
		}
	})
}

func TestSpoolsOfAnEarlierProcessAreRemoved(t *testing.T) {
	p := onEmbedded(t)
	for i := range 3 {
		if err := os.WriteFile(filepath.Join(p.dir, fmt.Sprintf("object-%d.spool", i)), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.start()
	if n := p.spools(); n != 0 {
		t.Errorf("%d spools", n)
	}
}

func TestLinesAreDelivered(t *testing.T) {
	everywhere(t, func(p *place) {
		p.config.Format = encode.NewConfig(encode.NDJSON, encode.None)
		s := p.start()
		p.deliver(s, 1, batch(1, 1))
		got := p.objects(s)["people/test-out-00c0ffee-0-0000000001.ndjson"]
		if string(got) != `{"id":1,"country":"FR","born":"1970-01-02"}`+"\n" {
			p.t.Errorf("%s", got)
		}
	})
}

func TestSinksShareTheEmbeddedServer(t *testing.T) {
	p := onEmbedded(t)
	a, b := p.start(), p.start()
	if a.store.endpoint != b.store.endpoint {
		t.Errorf("%s and %s", a.store.endpoint, b.store.endpoint)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	p.deliver(b, 1, batch(0, 10))
	p.wantIDs(b, 0, 10, 1)
	file := filepath.Join(p.dir, "s3", "lake", filepath.FromSlash(key("", 1)))
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the object is not a plain file: %v", err)
	}
}

// Over plain HTTP to another machine the client signs the bodies as well.
func TestBodiesAreSignedWhereNothingElseProtectsThem(t *testing.T) {
	p := onMinIO(t)
	s := p.start()
	if s.store.hashPayload {
		t.Error("bodies to this machine are signed")
	}
	far, err := newStore(&p.config, "http://store.example.com:9000", credentials.Value{AccessKeyID: "a", SecretAccessKey: "b"})
	if err != nil || !far.hashPayload {
		t.Errorf("bodies to another machine are not signed (%v)", err)
	}
	s.store.hashPayload, s.store.singlePut, s.store.partSize = true, 6<<20, 5<<20
	p.deliver(s, 1, batch(0, 10))
	large := objectOf(make([]byte, 7<<20))
	if err := s.putObject(t.Context(), large); err != nil {
		t.Fatal(err)
	}
	if n := len(p.objects(s)[large.Key]); n != 7<<20 {
		t.Errorf("object of %d bytes", n)
	}
}

func TestObjectsSayWhyTheirChunkWasCut(t *testing.T) {
	p := onEmbedded(t)
	s := p.start()
	for i, reason := range []string{"memory", "shutdown", "age"} {
		p.add(s, batch(i*10, 10))
		c := cut(int64(i + 1))
		c.Reason = reason
		plan, err := s.Plan(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		p.put(s, plan)
		s.Published(plan)
		m, ok, err := s.store.metadata(t.Context(), plan.Objects[0].Key)
		if err != nil || !ok || m[objects.MetaReason] != reason {
			t.Errorf("cut by %s, and the object says %q (%v)", reason, m[objects.MetaReason], err)
		}
	}
}
