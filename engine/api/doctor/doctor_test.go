package doctor

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace-io/millrace/engine/api/auth"
	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/api/kinesis"
	"github.com/millrace-io/millrace/engine/loopback"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is the API with a user, in region eu-west-1.
func service(t *testing.T) http.Handler {
	t.Helper()
	backend, err := disk.Open(vfs.OS{}, t.TempDir(), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	local := control.NewLocal(backend, time.Now)
	t.Cleanup(func() {
		if err := local.Close(); err != nil {
			t.Error(err)
		}
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := kinesis.New(t.Context(), kinesis.Options{
		Streams: local, Region: "eu-west-1",
		Verifier: &auth.Verifier{Mode: auth.Keys, Service: "kinesis", Now: time.Now, Users: auth.Static{"AK": "SK"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/", strings.NewReader(`{"StreamName":"s","ShardCount":1}`))
	r.Header.Set("X-Amz-Target", "Kinesis_20131202.CreateStream")
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	if err := auth.Sign(r, []byte(`{"StreamName":"s","ShardCount":1}`), auth.Credentials{AccessKey: "AK", Secret: "SK"}, "eu-west-1", "kinesis", time.Now()); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if s.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	return s
}

// patient is a machine whose settings are in order, but for what a test changes.
type patient struct {
	env, files map[string]string
	ahead      time.Duration
	o          Options
}

func healthy(endpoint string) *patient {
	return &patient{
		env: map[string]string{
			"AWS_ENDPOINT_URL_KINESIS": endpoint, "AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK",
			"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1",
		},
		files: map[string]string{},
	}
}

func (p *patient) examine() Report {
	p.o.Getenv = func(name string) string { return p.env[name] }
	p.o.ReadFile = func(name string) ([]byte, error) {
		if text, ok := p.files[name]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
	p.o.Home = "/home"
	p.o.Now = func() time.Time { return time.Now().Add(p.ahead) }
	return Examine(context.Background(), p.o)
}

// complaints are the findings that are not well, in one text.
func complaints(r Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		if f.Result != OK {
			b.WriteString(string(f.Result) + " " + f.Check + ": " + f.Message + "; " + f.Cure + "\n")
		}
	}
	return b.String()
}

func TestWhatIsInOrderIsFoundInOrder(t *testing.T) {
	server := httptest.NewServer(service(t))
	defer server.Close()
	r := healthy(server.URL).examine()
	if got := complaints(r); got != "" || !r.OK {
		t.Error(got)
	}
	var checks []string
	for _, f := range r.Findings {
		checks = append(checks, f.Check)
	}
	if got := strings.Join(checks, " "); got != "settings keys region port clock answer streams" {
		t.Error(got)
	}
}

func TestEachMistakeIsNamedWithItsCure(t *testing.T) {
	plain := httptest.NewServer(service(t))
	defer plain.Close()
	closed, err := loopback.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + closed
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	for name, c := range map[string]struct {
		change func(p *patient)
		want   string // in the complaints
		ok     bool   // whether clients can work all the same
	}{
		"no endpoint is set":  {func(p *patient) { p.o.Endpoint = plain.URL; delete(p.env, "AWS_ENDPOINT_URL_KINESIS") }, "doubtful settings: no setting names an endpoint: programs that are not told one ask AWS itself; export AWS_ENDPOINT_URL_KINESIS=" + plain.URL, true},
		"another one is set":  {func(p *patient) { p.o.Endpoint = plain.URL; p.env["AWS_ENDPOINT_URL_KINESIS"] = "http://x" }, "says http://x, which is another", true},
		"endpoints ignored":   {func(p *patient) { p.env["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] = "true" }, "unset AWS_IGNORE", false},
		"no URL":              {func(p *patient) { p.o.Endpoint = "127.0.0.1:4567" }, "write it as http://HOST:PORT", false},
		"no port":             {func(p *patient) { p.o.Endpoint = "http://127.0.0.1" }, "has no port, so clients try 80", false},
		"nobody listens":      {func(p *patient) { p.o.Endpoint = nobody }, "wrong port: nothing listens on " + strings.TrimPrefix(nobody, "http://") + "; start `millrace serve", false},
		"no such host":        {func(p *patient) { p.o.Endpoint = "http://nowhere.invalid:1" }, "wrong port: ", false},
		"another server":      {func(p *patient) { p.o.Endpoint = other.URL }, "is no Kinesis API (HTTP 404", false},
		"https against http":  {func(p *patient) { p.o.Endpoint = strings.Replace(plain.URL, "http:", "https:", 1) }, "does not speak TLS; write " + plain.URL, false},
		"no keys":             {func(p *patient) { delete(p.env, "AWS_ACCESS_KEY_ID"); delete(p.env, "AWS_SECRET_ACCESS_KEY") }, "wrong keys: there is no access key", false},
		"half a key":          {func(p *patient) { delete(p.env, "AWS_SECRET_ACCESS_KEY") }, "an access key without its secret", false},
		"an unknown key":      {func(p *patient) { p.env["AWS_ACCESS_KEY_ID"] = "AX" }, `does not know the access key "AX"`, false},
		"a wrong secret":      {func(p *patient) { p.env["AWS_SECRET_ACCESS_KEY"] = "secret" }, `the secret is not that of the access key "AK"`, false},
		"a blank":             {func(p *patient) { p.env["AWS_SECRET_ACCESS_KEY"] = "SK " }, "begins or ends with a blank", false},
		"a profile not there": {func(p *patient) { p.o.Profile = "work" }, `profile "work" is in no file`, false},
		"a late clock":        {func(p *patient) { p.ahead = -10 * time.Minute }, "behind the server's: signatures are refused from 5 minutes on", false},
		"an early clock":      {func(p *patient) { p.ahead = 2 * time.Minute }, "doubtful clock: ", true},
		"no region":           {func(p *patient) { delete(p.env, "AWS_REGION"); delete(p.env, "AWS_DEFAULT_REGION") }, "wrong region: no region is set", false},
		"half a region":       {func(p *patient) { delete(p.env, "AWS_DEFAULT_REGION") }, "export AWS_DEFAULT_REGION=eu-west-1", true},
		"two regions":         {func(p *patient) { p.env["AWS_DEFAULT_REGION"] = "us-east-1" }, "AWS_REGION is eu-west-1 and AWS_DEFAULT_REGION is us-east-1", true},
		"another region":      {func(p *patient) { p.o.Region = "us-east-1" }, "their ARNs are of region eu-west-1, and clients are set to us-east-1", true},
		"a proxy":             {func(p *patient) { p.env["http_proxy"] = "http://proxy:3128"; p.env["NO_PROXY"] = "example.org" }, "export NO_PROXY=example.org,127.0.0.1", false},
	} {
		p := healthy(plain.URL)
		c.change(p)
		r := p.examine()
		if got := complaints(r); !strings.Contains(got, c.want) || r.OK != c.ok {
			t.Errorf("%s: ok %v, %s\nwant %q", name, r.OK, got, c.want)
		}
		text, err := json.Marshal(r)
		if err != nil || strings.Contains(string(text), `SK"`) || strings.Contains(string(text), `"secret"`) {
			t.Errorf("%s: %s, %v", name, text, err)
		}
	}
}

func TestCertificatesAreLookedAtAsClientsDo(t *testing.T) {
	server := httptest.NewUnstartedServer(service(t))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	bundle := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	for name, c := range map[string]struct {
		change func(p *patient)
		want   string
	}{
		"trusted":            {func(p *patient) {}, ""},
		"not trusted":        {func(p *patient) { delete(p.env, "AWS_CA_BUNDLE") }, "export AWS_CA_BUNDLE=cert.pem"},
		"no bundle":          {func(p *patient) { p.env["AWS_CA_BUNDLE"] = "/none" }, "AWS_CA_BUNDLE cannot be read"},
		"an empty bundle":    {func(p *patient) { p.files["/ca"] = "" }, "has no certificate in PEM"},
		"another name":       {func(p *patient) { p.o.Endpoint = "https://localhost:" + port }, "the certificate is for example.com"},
		"long after its end": {func(p *patient) { p.ahead = 100 * 365 * 24 * time.Hour }, "set this machine's clock"},
		"http against https": {func(p *patient) { p.o.Endpoint = strings.Replace(server.URL, "https:", "http:", 1) }, "the server speaks TLS; write " + server.URL},
	} {
		p := healthy(server.URL)
		p.env["AWS_CA_BUNDLE"], p.files["/ca"] = "/ca", bundle
		c.change(p)
		r := p.examine()
		if got := complaints(r); !strings.Contains(got, c.want) || r.OK != (c.want == "") {
			t.Errorf("%s: ok %v, %s\nwant %q", name, r.OK, got, c.want)
		}
	}
}

func TestSettingsAreFoundWhereSDKsFindThem(t *testing.T) {
	p := healthy("")
	p.env = map[string]string{"AWS_PROFILE": "work"}
	p.files = map[string]string{
		"/home/.aws/config":      "# mine\n[default]\nregion = eu-west-1\n[profile  work]\nregion=eu-north-1\nservices = local\n[services local]\ns3 =\n  endpoint_url = http://s3\nkinesis =\n  endpoint_url = http://kinesis\n",
		"/home/.aws/credentials": "[default]\naws_access_key_id=D\naws_secret_access_key=d\n[work]\naws_access_key_id = W\naws_secret_access_key = w=/\naws_session_token=t\n",
	}
	p.examine()
	s := p.o.settings()
	if want := (auth.Credentials{AccessKey: "W", Secret: "w=/", Token: "t"}); s.credentials != want || s.region != "eu-north-1" || s.endpoint != "http://kinesis" {
		t.Errorf("%+v", s)
	}
	p.env["AWS_ACCESS_KEY_ID"], p.env["AWS_SECRET_ACCESS_KEY"] = "E", "e"
	p.env["AWS_ENDPOINT_URL"] = "http://all"
	if s := p.o.settings(); s.credentials.AccessKey != "E" || s.endpoint != "http://all" {
		t.Errorf("the environment comes first: %+v", s)
	}
	p.o.Profile = "work"
	if s := p.o.settings(); s.credentials.AccessKey != "W" {
		t.Errorf("a profile that was asked for comes before: %+v", s)
	}
	p.o.Profile, p.env = "", map[string]string{}
	if s := p.o.settings(); s.credentials.AccessKey != "D" || s.region != "eu-west-1" || s.endpoint != "" {
		t.Errorf("the default profile: %+v", s)
	}
}

func FuzzSection(f *testing.F) {
	f.Add("[default]\nregion = x\n  nested = y\n[")
	f.Add("[[]]\n=\n = \n\t\n;")
	f.Fuzz(func(t *testing.T, text string) {
		o := Options{ReadFile: func(string) ([]byte, error) { return []byte(text), nil }}
		o.section("file", "default")
	})
}
