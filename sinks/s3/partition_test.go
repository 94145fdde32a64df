package s3

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/bucket"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sinks"
)

func TestRowsGoToTheirOwnPartition(t *testing.T) {
	p := onEmbedded(t)
	p.config.PartitionBy = []string{"country", "CAST(born AS date) AS day"}
	s := p.start()
	p.deliver(s, 1, batch(0, 100), batch(100, 100).With([]int32{1, 2, 99}))
	p.config.PartitionBy = nil
	ids, keys := p.ids(s)
	if len(ids) != 103 {
		t.Errorf("%d rows", len(ids))
	}
	var want []string
	for day := 1; day <= 3; day++ {
		for _, country := range []string{"DE", "FR", "a%2Fb", "__HIVE_DEFAULT_PARTITION__"} {
			// The country follows from the day, except where there is none.
			if country == "__HIVE_DEFAULT_PARTITION__" || country == []string{"DE", "FR", "a%2Fb"}[day-1] {
				want = append(want, key(fmt.Sprintf("country=%s/day=1970-01-%02d/", country, day), 1))
			}
		}
	}
	slices.Sort(want)
	if d := cmp.Diff(want, keys); d != "" {
		t.Error(d)
	}
	for k := range p.objects(s) {
		p.wantOneDay(s, k)
	}
}

// wantOneDay wants the rows of an object to be those its key names.
func (p *place) wantOneDay(s *sink, key string) {
	p.t.Helper()
	all := p.objects(s)
	only := map[string][]byte{key: all[key]}
	for _, id := range idsOf(p.t, only) {
		day := fmt.Sprintf("day=1970-01-%02d/", id%3+1)
		country := "country=" + []string{"DE", "FR", "a%2Fb"}[id%3] + "/"
		if id%7 == 0 {
			country = "country=" + "__HIVE_DEFAULT_PARTITION__" + "/"
		}
		if !strings.Contains(key, country+day) {
			p.t.Errorf("row %d of %s%s is in %s", id, country, day, key)
		}
	}
}

func TestPartitionsOfAChunkAreInTheOrderOfTheirKeys(t *testing.T) {
	p := onEmbedded(t)
	p.config.PartitionBy = []string{"id"}
	s := p.start()
	p.add(s, batch(0, 150))
	plan := p.plan(s, 1)
	var keys []string
	for _, o := range plan.Objects {
		keys = append(keys, o.Key)
	}
	if !slices.IsSorted(keys) || len(keys) != 150 {
		t.Errorf("%d keys: %v", len(keys), keys[:5])
	}
}

func TestValueTooLongForAKeyIsABadRow(t *testing.T) {
	p := onEmbedded(t)
	p.config.PartitionBy = []string{"country"}
	s := p.start()
	b := batch(1, 3)
	long := strings.Repeat("x", 300)
	b.Columns[1] = &column.Column{Type: people.Fields[1].Type, Len: 3, Bytes: []byte("A" + long + "A"),
		Offsets: []int32{0, 1, int32(1 + len(long)), int32(2 + len(long))}}
	outcome, err := s.Add(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if c := outcome.Counts; c.In != 3 || c.Passed != 2 || c.Bad != 1 || len(outcome.Rejects) != 1 || outcome.Rejects[0].Row != 1 {
		t.Errorf("%+v", outcome)
	}
	plan := p.plan(s, 1)
	if len(plan.Objects) != 1 || plan.Objects[0].Rows != 2 {
		t.Errorf("%+v", plan.Objects)
	}
}

func TestPartitionsBeyondTheMemoryAreSpooled(t *testing.T) {
	p := onEmbedded(t)
	p.config.PartitionBy = []string{"country"}
	p.memory = 8 << 20 / 3
	s := p.start()
	// Numbers that do not compress, so that memory fills.
	for i := range 20 {
		b := batch(i*20_000, 20_000)
		for j := range b.Columns[0].Int64s {
			b.Columns[0].Int64s[j] = int64(i*20_000+j) * 0x1e3779b97f4a7c15
		}
		p.add(s, b)
		if s.Open().Memory > 5<<20/2 {
			t.Fatalf("%d bytes of memory after %d batches", s.Open().Memory, i+1)
		}
	}
	if p.spools() == 0 {
		t.Error("nothing is on disk")
	}
	plan := p.plan(s, 1)
	p.put(s, plan)
	if ids, _ := p.ids(s); len(ids) != 400_000 {
		t.Errorf("%d rows", len(ids))
	}
}

func TestPartitionMistakesNameTheirPlace(t *testing.T) {
	for _, c := range []struct {
		by   []string
		path string
		say  string
	}{
		{[]string{"country", "YEAR(born)"}, "partition_by[1]", `YEAR(born) AS name`},
		{[]string{"nobody"}, "partition_by[0]", "nobody"},
		{[]string{"country", "id AS country"}, "partition_by[1]", "taken"},
		{[]string{"id * 1.5 AS half"}, "partition_by[0]", "cannot be partitioned by"},
	} {
		p := onEmbedded(t)
		p.config.PartitionBy = c.by
		_, err := Component(p.pool).Open(&p.config, sinks.Env{Schema: people, Dir: p.dir, Data: p.dir})
		if err == nil || !strings.HasPrefix(err.Error(), c.path) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%q: %v", c.by, err)
		}
	}
}

func TestConfigurationMistakesAreReported(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(c *Config)
		path   string
		say    string
	}{
		{"endpoint without scheme", func(c *Config) { c.Endpoint = "localhost:9000" }, "endpoint", "want http://HOST:PORT"},
		{"endpoint with bucket", func(c *Config) { c.Endpoint = "http://localhost:9000/lake" }, "endpoint", "bucket and prefix"},
		{"no credentials", func(c *Config) { c.AccessKey, c.SecretKey = config.Secret{}, config.Secret{} }, "access_key", "${env:AWS_ACCESS_KEY_ID}"},
		{"half credentials", func(c *Config) { c.SecretKey = config.Secret{} }, "secret_key", "missing beside access_key"},
		{"token alone", func(c *Config) {
			c.Endpoint, c.AccessKey, c.SessionToken = bucket.Embedded, config.Secret{}, config.NewSecret("t")
		}, "session_token", "beside it"},
		{"bucket", func(c *Config) { c.Bucket = "My_Lake" }, "bucket", "a-z, 0-9"},
		{"bucket like an address", func(c *Config) { c.Bucket = "127.0.0.1" }, "bucket", "not an address"},
		{"compression", func(c *Config) { c.Format.Compression = "lzo" }, "format.compression", "lzo"},
		{"level", func(c *Config) { c.Format.Level = 30 }, "format.level", "1 to 22"},
		{"partition", func(c *Config) { c.PartitionBy = []string{"a", "b + 1"} }, "partition_by[1]", "AS name"},
	} {
		cfg := defaults()
		cfg.Endpoint, cfg.Bucket = "http://localhost:9000", "lake"
		cfg.AccessKey, cfg.SecretKey = config.NewSecret("a"), config.NewSecret("b")
		if problems := cfg.Validate(); len(problems) > 0 {
			t.Fatalf("without the mistake: %v", problems)
		}
		c.change(&cfg)
		problems := cfg.Validate()
		if len(problems) != 1 || problems[0].Path != c.path || !strings.Contains(problems[0].Message, c.say) {
			t.Errorf("%s: %v, want one at %q saying %q", c.name, problems, c.path, c.say)
		}
	}
}
